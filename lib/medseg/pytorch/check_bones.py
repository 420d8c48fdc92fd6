"""As :mod:`medseg.pytorch.check`, for a training of the hand-bone study: ``python -m medseg.pytorch.check_bones``."""

from collections.abc import Mapping
from typing import Any

import torch

from medseg.datasets.augmentation.polygon import parse_augmentation
from medseg.errors import MedsegError
from medseg.evaluation.overlapping import MaskRules
from medseg.experiments import preflight
from medseg.pytorch import check as checks
from medseg.pytorch import device as devices
from medseg.pytorch import tta
from medseg.pytorch.bone_training import build
from medseg.pytorch.losses import build_loss
from medseg.pytorch.overlapping_inference import check_windows
from medseg.studies.handbone.bones import CLASSES

_AT_LEAST_ONE = (
    "resolution", "batch_size", "accumulate", "max_epochs", "validation_interval", "patience", "restart_epochs",
    "restart_factor",
)  # fmt: skip
_NOT_NEGATIVE = ("fold", "backbone_learning_rate", "auxiliary_weight", "workers")


def check(parameters: Mapping[str, Any]) -> None:
    """Try everything that costs nothing: names, ranges, that files are there. The network is built without memory.

    Args:
        parameters: of a training; and window, stride and tta, where they are there.

    Raises:
        MedsegError: what cannot work, and what would.
    """
    checks.check_numbers(parameters, [name for name in _AT_LEAST_ONE if name in parameters])
    for name in _NOT_NEGATIVE:
        if parameters.get(name, 0) < 0:
            raise MedsegError(f"{name} is {parameters[name]}, expected 0 or more.")
    if parameters["validation_interval"] > parameters["max_epochs"]:
        raise MedsegError(
            f"validation_interval is {parameters['validation_interval']}, but there are only "
            f"{parameters['max_epochs']} epochs (max_epochs). Validate more often."
        )
    parse_augmentation(parameters["augmentation"], side_is_predicted="side" in parameters["auxiliary"])
    build_loss(parameters["loss"])
    devices.choose(parameters["device"], parameters["precision"])
    with torch.device("meta"):
        model = build(parameters, len(CLASSES), weights="none")
    checks.check_model(parameters, model)
    if parameters.get("backbone_learning_rate") and model.encoder is None:
        raise MedsegError(
            f"{parameters['architecture']} has no encoder of its own; set backbone_learning_rate to 0, which trains "
            "all of it at learning_rate."
        )
    check_windows(parameters.get("window", 0), parameters.get("stride", 0))
    tta.views(parameters.get("tta", ()))
    MaskRules(**{name: parameters[name] for name in ("thresholds", "postprocess", "crf") if name in parameters})


if __name__ == "__main__":
    preflight.answer(check)
