"""Say what is wrong with the parameters of a training before anything is loaded or computed; a sweep asks it too."""

from collections.abc import Mapping
from typing import Any

from medseg.datasets import sample
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.keras import augment
from medseg.keras.models import weight_files
from medseg.keras.transunet import SIZES, VARIANTS, check_side
from medseg.tf_shared import device as devices
from medseg.tf_shared import optimisation
from medseg.tf_shared.check import check as check_shared

_LEAST = {
    "resolution": 1, "batch_size": 1, "accumulate": 1, "max_epochs": 1, "warmup": 0, "restart_epochs": 1,
    "restart_factor": 1, "patience": 0, "workers": 0, "devices": 1, "cross_entropy_weight": 0, "dice_weight": 0,
}  # fmt: skip


def check(parameters: Mapping[str, Any]) -> None:
    """Try what costs nothing: names, ranges, that files are there; a :class:`MedsegError` says what cannot work."""
    check_shared(parameters, _LEAST)
    if not parameters["cross_entropy_weight"] + parameters["dice_weight"]:
        raise MedsegError("cross_entropy_weight and dice_weight are both 0: nothing would be learnt. Raise one.")
    for name, known in (("size", SIZES), ("variant", VARIANTS)):
        if parameters[name] not in known:
            raise MedsegError(f"There is no {name} {parameters[name]!r}. Choose one of: {', '.join(known)}.")
    check_side(parameters["resolution"])
    if parameters["batch_size"] < parameters["devices"]:
        raise MedsegError(
            f"batch_size is {parameters['batch_size']}, but {parameters['devices']} devices share every batch. Give "
            "each at least one picture."
        )
    if parameters["compile"] and parameters["devices"] > 1:
        raise MedsegError("compile is for the steps of one device only. Set devices to 1, or compile to False.")
    by_epoch = parameters.get("schedule", "cosine") not in ("cosine", "onecycle")
    optimisation.check({"optimizer": "sgd", **parameters, "warmup_epochs": parameters["warmup"] if by_epoch else 0})
    if parameters.get("gradient_clip") and parameters["devices"] > 1:
        raise MedsegError("gradient_clip is for one device: each would clip its part. Set devices to 1, or it to 0.")
    sample.load(parameters["data"])
    augment.parse(parameters["augmentation"])
    weight_files(*(parameters[name] for name in ("size", "variant", "resnet_weights", "vit_weights")))
    devices.choose(parameters["device"], parameters["precision"], parameters["devices"])


if __name__ == "__main__":
    preflight.answer(check)
