"""Exported networks as models that predict, without their runs.

Their metadata say everything but the weights, so that new pictures are predicted exactly as a run's own are scored.
"""

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any, cast

from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.network import Network, Windowed
from medseg.evaluation.predictors import FittedPredictor, StretchedPredictor
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.evaluation.views import View
from medseg.experiments.runs import Run
from medseg.project import display

#: Key of the metadata under which everything is kept as JSON.
KEY = "medseg"
#: Modules with ``load(path, device)``, which gives network and metadata, by the ending of a file's name.
LOADERS = {".onnx": "medseg.prediction.onnx_model", ".pt2": "medseg.pytorch.exported"}
KERAS = ".keras"
ENDINGS = (*LOADERS, KERAS)
#: Modules that have the layers of a model of Keras, by Keras' version.
_ROOMS = {"2": "medseg.keras_legacy.unet", "3": "medseg.keras.transunet"}


class ExportedNetwork:
    """A network and its metadata.

    Attributes:
        network: what computes.
        facts: the metadata; see :func:`medseg.export.command.facts_of`.
        kind: of its labels.
        predict: a :data:`medseg.evaluation.kinds.Predictor` of that kind.
    """

    def __init__(self, network: Network, facts: dict[str, Any]) -> None:
        self.network, self.facts = network, facts
        self.kind = kinds.of_study(facts["study"], facts["classes"])
        views = [View(*view) for view in facts["views"]]
        self.predict: kinds.Predictor = StretchedPredictor(network, facts["resolution"], views)
        if self.kind.name == "overlapping":
            self.predict = FittedPredictor(
                cast(Windowed, network),
                facts["resolution"],
                window=facts.get("window", 0),  # files from before windows were exported have none
                stride=facts.get("stride", 0),
                views=views,
                upsampling=facts["upsampling"],
            )

    def segmenter(self) -> Segmenter:
        """Pictures in, masks out, by the rules by which the run was scored."""
        stand_in = Run(Path(self.facts["run"]))  # for its name in messages; the folder need not be there
        return Segmenter(stand_in, self.predict, self.kind, MaskRules(**self.facts["rules"]), self.facts["thresholds"])


def load(path: Path, device: str = "auto") -> ExportedNetwork:
    """The network of a file, where it is to compute.

    Raises:
        MedsegError: a file that is missing, damaged, or was not exported by medseg; what reads it is not installed, or
            does not have the device.
    """
    if not path.is_file():
        raise MedsegError(f"There is no file {display(path)}.")
    ending = path.suffix.casefold()
    network, facts = _of_keras(path, device) if ending == KERAS else _module(LOADERS[ending]).load(path, device)
    check_told(path, bool(facts))
    return ExportedNetwork(network, facts)


def _of_keras(path: Path, device: str) -> tuple[Network, dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read("medseg.json")) if "medseg.json" in archive.namelist() else {}
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise MedsegError(f"{display(path)} cannot be read as a model of Keras ({error}).") from error
    check_told(path, facts.get("keras") in _ROOMS)
    _module(_ROOMS[facts["keras"]])  # the room is opened before what both share
    return _module("medseg.tf_shared.exported").load(path, facts, device), facts


def _module(name: str) -> Any:
    """A module of a framework, which no import may name here."""
    return importlib.import_module(name)


def check_told(path: Path, told: bool) -> None:
    """A :class:`MedsegError` for a file without metadata of medseg."""
    if not told:
        raise MedsegError(
            f"{display(path)} does not say what it predicts (there is no {KEY!r} in its metadata). Give a file that "
            "'medseg export' wrote."
        )
