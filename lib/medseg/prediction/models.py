"""What predicts new pictures, and what belongs to it: how they are read, and which pictures it knows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import cv2
import numpy as np

from medseg import registry
from medseg.datasets import dicom, frames, images
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import common, kinds
from medseg.evaluation.averaging import Average
from medseg.evaluation.rules import MaskRules
from medseg.experiments.runs import Run, dataset_of
from medseg.prediction import exported
from medseg.prediction.folder import Model
from medseg.prediction.likeness import Likeness, spread

Reader = Callable[[Path, int | None], np.ndarray]


@dataclass(frozen=True)
class Loaded:
    """A model ready to predict.

    Attributes:
        read: of a file and a frame (None: its only one) the picture as the model wants it.
        made_by: what decides what is predicted, for the record.
        likeness: of the pictures that it was trained on; None where these are not at hand.
        notes: what a person should know, in words.
    """

    model: Model
    read: Reader
    made_by: dict[str, Any]
    likeness: Likeness | None = None
    notes: list[str] = field(default_factory=list)


def of_runs(runs: Sequence[Run], device: str = "auto", predictors: Sequence[kinds.Predictor] = ()) -> Loaded:
    """Finished runs, several averaged; see :class:`medseg.evaluation.averaging.Average`, also for what it raises.

    ``predictors`` are theirs; empty: their best checkpoints on ``device``.
    """
    for run in runs:
        common.check_finished(run, "predicts")
    model = Average(runs, list(predictors) or [common.load_predictor(run, device) for run in runs])
    record = runs[0].record
    dataset, notes = None, []
    try:
        dataset = dataset_of(runs[0])
    except MedsegError as error:
        notes.append(f"not checked whether pictures are like those trained on: {error}")
    made_by = {
        "runs": [run.id for run in runs],
        "study": record["study"],
        "classes": list(model.kind.classes),
        "data": record["dataset"]["fingerprint"],
        "thresholds": model.thresholds,
        "rules": asdict(MaskRules.of(record["parameters"])),
    }
    read = reader(record["study"], model.kind, dataset.info if dataset else {})
    return Loaded(model, read, made_by, _likeness(dataset, model.kind), notes)


def of_file(path: Path, device: str = "auto") -> Loaded:
    """A network that was exported, see :func:`medseg.prediction.exported.load`, also for what it raises.

    Its run's data are not asked for, so that nobody says whether pictures are like those that it was trained on.
    """
    network = exported.load(path, device)
    facts = network.facts
    made_by = {name: facts[name] for name in ("study", "classes", "data", "thresholds", "rules")}
    read = reader(facts["study"], network.kind, facts["info"])
    return Loaded(network.segmenter(), read, {"runs": [facts["run"]], **made_by, "exported": path.name})


def reader(study: str, kind: kinds.Kind, info: dict[str, Any]) -> Reader:
    """How pictures are read for networks of a study; ``info`` as of :attr:`medseg.registry.Study.reader`.

    Pictures of a prepared dataset are taken as they are: they are what networks are scored on.
    """
    of_study = registry.find(study).reader
    prepared = frames.read_grey if kind.grey else frames.read_rgb

    def read(path: Path, frame: int | None) -> np.ndarray:
        if any((folder / "dataset.json").is_file() for folder in path.parents):
            return prepared(path)
        if of_study:
            return resolve_name(of_study)(path, frame, info)
        is_dicom = path.suffix.casefold() in (".dcm", "")
        pixels = dicom.read(path, frame).pixels if is_dicom else images.read_picture(path)
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if kind.grey else pixels

    return read


def _likeness(dataset: PreparedDataset | None, kind: kinds.Kind) -> Likeness | None:
    if dataset is None or (rows := dataset.split("train")).empty:
        return None
    read = frames.read_grey if kind.grey else frames.read_rgb
    return Likeness(spread(len(rows), lambda number: read(dataset.path(rows.iloc[number]["image"]))))
