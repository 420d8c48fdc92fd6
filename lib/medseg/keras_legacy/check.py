"""Say what is wrong with the parameters of a training before anything is loaded or computed.

``python -m medseg.keras_legacy.check`` reads a JSON list of parameter sets and prints a JSON list of messages, empty
where all is well; a sweep asks it before the first run starts.
"""

from collections.abc import Mapping
from typing import Any

from medseg.datasets.augmentation.warp import build_augmentation
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.keras_legacy.losses import LOSSES
from medseg.keras_legacy.unet import STRIDE, known_backbone
from medseg.keras_legacy.weights import Source
from medseg.tf_shared import device as devices

_AT_LEAST_ONE = ("resolution", "batch_size", "accumulate", "max_epochs", "patience")


def check(parameters: Mapping[str, Any]) -> None:
    """Try everything that costs nothing: names, ranges, that files are there. No network is built.

    Raises:
        MedsegError: what cannot work, and what would.
    """
    for name in _AT_LEAST_ONE:
        if parameters[name] < 1:
            raise MedsegError(f"{name} is {parameters[name]}, expected 1 or more.")
    if parameters["workers"] < 0:
        raise MedsegError(f"workers is {parameters['workers']}, expected 0 or more.")
    if parameters["learning_rate"] <= 0:
        raise MedsegError(f"learning_rate is {parameters['learning_rate']:g}, expected more than 0.")
    if not 0 <= parameters["norm_momentum"] < 1:
        raise MedsegError(f"norm_momentum is {parameters['norm_momentum']:g}, expected 0 or more and less than 1.")
    if parameters["loss"] not in LOSSES:
        raise MedsegError(f"There is no loss {parameters['loss']!r} in Keras. Choose one of: {', '.join(LOSSES)}.")
    resolution = parameters["resolution"]
    if resolution % STRIDE:
        lower = resolution // STRIDE * STRIDE
        nearest = " or ".join(str(side) for side in (lower, lower + STRIDE) if side)
        raise MedsegError(
            f"resolution {resolution} is no multiple of {STRIDE}, by which the encoders of segmentation_models divide "
            f"pictures. Take {nearest}."
        )
    build_augmentation(parameters["augmentation"], resolution)
    Source(parameters["weights"], known_backbone(parameters["backbone"]))
    devices.choose(parameters["device"], parameters["precision"])


if __name__ == "__main__":
    preflight.answer(check)
