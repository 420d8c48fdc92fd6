"""Say what is wrong with the parameters of a training before anything is loaded or computed; a sweep asks it too."""

from collections.abc import Mapping
from typing import Any

from medseg.datasets import sample, splits
from medseg.datasets.augmentation.presets import build_augmentation
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.keras_legacy.training import LOSSES, SCHEDULES
from medseg.keras_legacy.unet import STRIDE, encoder_file
from medseg.tf_shared import device as devices
from medseg.tf_shared import optimisation
from medseg.tf_shared.check import check as check_shared
from medseg.tf_shared.model import check_multiple

_LEAST = {
    "resolution": 1, "batch_size": 1, "accumulate": 1, "max_epochs": 1, "patience": 1, "workers": 0,
    "restart_epochs": 1, "restart_factor": 1,
}  # fmt: skip


def check(parameters: Mapping[str, Any]) -> None:
    """Try what costs nothing: names, ranges, that files are there; a :class:`MedsegError` says what cannot work."""
    check_shared(parameters, _LEAST)
    optimisation.check(parameters)
    splits.hold_out(sample.load(parameters["data"]), parameters.get("fold", -1))
    if parameters["loss"] not in LOSSES:
        raise MedsegError(f"There is no loss {parameters['loss']!r} in Keras. Choose one of: {', '.join(LOSSES)}.")
    if parameters["schedule"] not in SCHEDULES:
        raise MedsegError(f"There is no schedule {parameters['schedule']!r}. Choose one of: {', '.join(SCHEDULES)}.")
    check_multiple(parameters["resolution"], STRIDE, "by which the encoders of segmentation_models divide pictures")
    build_augmentation(parameters["augmentation"], parameters["resolution"])
    encoder_file(parameters["backbone"], parameters["weights"])
    devices.choose(parameters["device"], parameters["precision"])


if __name__ == "__main__":
    preflight.answer(check)
