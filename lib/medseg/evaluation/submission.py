"""From a trained run to a submission, and from a submission to its scores where the truth is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project, registry
from medseg.datasets.frames import read_grey, read_rgb
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.common import case_table
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle, submission
from medseg.metrics.overlap import confusion_counts, with_overlap


def predict_folder(run: Run, predict: kinds.Predictor, pictures: Path, out: Path) -> int:
    """Predict every PNG below ``pictures`` and write a submission; pictures need no truth. Returns their number.

    The run's own rules make masks of probabilities; fitted thresholds, and what fixed means, are those of its
    evaluation.

    Raises:
        MedsegError: no picture, two of the same name, an unreadable one, or fitted thresholds before an evaluation.
    """
    files = sorted(path for path in pictures.rglob("*") if path.suffix.lower() == ".png")
    names = [path.name for path in files]
    twice = [name for name in names if names.count(name) > 1]
    if not files or twice:
        problem = f"the name {twice[0]} more than once" if twice else "no PNG file"
        raise MedsegError(f"{project.display(pictures)} holds {problem}; a submission names each picture once.")
    segment = _segmenter_as_evaluated(run, predict)
    progress = Progress(run.folder)

    def rows() -> Iterator[tuple[str, str, str]]:
        for done, file in enumerate(files, 1):
            found = segment(read_grey(file) if segment.kind.grey else read_rgb(file), file.name)
            for name, mask in segment.kind.pieces(found.mask):
                yield file.name, name, rle.encode(mask)
            progress.update(done, len(files), f"predicted {done} of {len(files)} pictures")

    submission.write(out, rows())
    return len(files)


def score(path: Path, dataset: PreparedDataset) -> pd.DataFrame:
    """Score a submission on the test split of a dataset: one row per case and class, as ``cases.csv``.

    Raises:
        MedsegError: a mask of a test picture is missing, or does not fit its picture.
    """
    kind = kinds.of(registry.find(dataset.info["study"]).label, dataset.info["classes"])
    masks = {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
    counted = []
    for _, case in dataset.split("test").iterrows():
        picture, label = kind.read(dataset, case)
        image_name = case.get("image_name", case["case_id"])
        for name, truth in kind.true_pieces(label):
            if (image_name, name) not in masks:
                raise MedsegError(
                    f"{project.display(path)} has no mask of {name} for {image_name}, which is a test picture "
                    f"of {project.display(dataset.folder)}. Was it predicted for another fold?"
                )
            predicted = rle.decode(masks[image_name, name], picture.shape[:2]).astype(np.uint8)
            identity = {key: case[key] for key in ("test_set", "case_id", "group")}
            counted.append({**identity, "class": name, **confusion_counts(predicted, truth)._asdict()})
    return with_overlap(case_table(counted))


def _segmenter_as_evaluated(run: Run, predict: kinds.Predictor) -> Segmenter:
    record = run.record
    kind = kinds.of(registry.find(record["study"]).label, record["dataset"]["classes"])
    rules, evaluation = MaskRules.of(record["parameters"]), record.get("evaluation", {})
    if rules.thresholds == "fixed":
        return Segmenter(run, predict, kind, rules, [evaluation.get("threshold", 0.5)] * len(kind.scored))
    if "thresholds" not in evaluation:
        raise MedsegError(f"The thresholds of the run {run.id} are fitted by 3_evaluate: run that first.")
    return Segmenter(run, predict, kind, rules, list(evaluation["thresholds"].values()))
