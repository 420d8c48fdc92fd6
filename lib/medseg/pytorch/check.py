"""Say what is wrong with the parameters of a training before anything is loaded or computed; a sweep asks it too."""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medseg import project
from medseg.datasets import sample, splits
from medseg.datasets.augmentation.presets import build_augmentation, parse_augmentation
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation.rules import MaskRules
from medseg.evaluation.views import views
from medseg.evaluation.windows import check_windows
from medseg.experiments import loggers, preflight
from medseg.pytorch import device as devices
from medseg.pytorch.data import classes_overlap
from medseg.pytorch.dry_step import Needs, try_step
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import OF_NETWORK, BuiltModel, build, hub_weights
from medseg.pytorch.optimisation import Optimisation, scales
from medseg.pytorch.weights import RUN, named_run

_AT_LEAST_ONE = (
    "resolution", "batch_size", "accumulate", "max_epochs", "validation_interval", "patience", "restart_epochs",
    "restart_factor", "devices",
)  # fmt: skip
_NOT_NEGATIVE = (
    "weight_decay",
    "backbone_learning_rate",
    "auxiliary_weight",
    "workers",
    "max_steps",
    "max_minutes",
    "checkpoint_minutes",
)


def check(parameters: Mapping[str, Any]) -> str:
    """Try everything that costs little, and a training step without memory; a MedsegError says what cannot work.

    Gives in words how large the network is and what memory its training takes.

    ``data`` names the prepared dataset, which says how many classes there are and whether they overlap; window, stride,
    tta, thresholds, postprocess and crf are checked where they are there.
    """
    _check_numbers(parameters)
    dataset = _dataset(parameters["data"], parameters.get("fold", -1), _written(parameters["data"]))
    if classes_overlap(dataset):
        parse_augmentation(parameters["augmentation"], side_is_predicted="side" in parameters["auxiliary"])
    else:
        build_augmentation(parameters["augmentation"], parameters["resolution"])
    build_loss(parameters["loss"])
    loggers.check(parameters.get("logger", ()))
    optimisation = Optimisation.of(parameters)
    optimisation.check(limited=bool(parameters.get("max_steps") or parameters.get("max_minutes")))
    count = devices.choose(parameters["device"], parameters["precision"], parameters.get("devices", 1)).count
    if parameters["batch_size"] < count:
        raise MedsegError(
            f"batch_size is {parameters['batch_size']}, but {count} devices share every batch. Give each a picture at "
            "least."
        )
    classes = len(dataset.info["classes"])
    asked = {name: parameters[name] for name in OF_NETWORK if name in parameters}
    batch_size = math.ceil(parameters["batch_size"] / count)
    model, needs = _tried(json.dumps({**asked, "classes": classes, "batch_size": batch_size}))
    _check_model(parameters, model)
    if isinstance(needs, MedsegError):
        raise needs
    _check_views(parameters, model)
    check_windows(parameters.get("window", 0), parameters.get("stride", 0))
    views(parameters.get("tta", ()))
    MaskRules.of(parameters)
    return str(needs)


@functools.lru_cache(maxsize=16)
def _dataset(data: str, fold: int, written: int) -> PreparedDataset:
    """Read once for all rows of a sweep, as it was ``written`` at a time."""
    return splits.hold_out(sample.load(data), fold)


def _written(data: str) -> int:
    """When the dataset was written; 0 where it is not there yet."""
    described = project.resolve(data) / "dataset.json"
    return described.stat().st_mtime_ns if described.is_file() else 0


@functools.cache
def _tried(asked: str) -> tuple[BuiltModel, Needs | MedsegError]:
    """A network of :data:`OF_NETWORK` and a step with it: once for all the rows of a sweep that differ in others."""
    parameters = json.loads(asked)
    model = _without_memory(parameters, parameters["classes"])
    name = f"{parameters['architecture']} on {parameters['backbone']}"
    size = {name: parameters[name] for name in ("resolution", "batch_size", "classes")}
    try:
        return model, try_step(model, name, **size)
    except MedsegError as error:
        return model, error


def _without_memory(parameters: Mapping[str, Any], classes: int) -> BuiltModel:
    try:
        with torch.device("meta"):
            return build(parameters, classes, weights="none")
    except MedsegError as error:
        if "meta tensors" not in str(error):
            raise
    return build(parameters, classes, weights="none")  # some encoders compute numbers while they are built


def _check_views(parameters: Mapping[str, Any], model: BuiltModel) -> None:
    """Refuse pictures of another size where an encoder is made for one."""
    if model.network.fixed_size is None:
        return
    window = parameters.get("window", 0)
    if any(view.scale != 1 for view in views(parameters.get("tta", ()))) or window not in (0, parameters["resolution"]):
        raise MedsegError(
            f"The encoder {parameters['backbone']!r} is made for pictures of one size, the resolution: leave "
            "magnifications out of tta, and window at 0, or choose a convolutional encoder."
        )


def _check_numbers(parameters: Mapping[str, Any]) -> None:
    for least, names in ((1, _AT_LEAST_ONE), (0, _NOT_NEGATIVE)):
        for name in names:
            if parameters.get(name, least) < least:
                raise MedsegError(f"{name} is {parameters[name]}, expected {least} or more.")
    preflight.check_seed(parameters)
    if parameters["learning_rate"] <= 0:
        raise MedsegError(f"learning_rate is {parameters['learning_rate']:g}, expected a learning rate above 0.")
    if parameters.get("validation_interval", 1) > parameters["max_epochs"]:
        raise MedsegError(
            f"validation_interval is {parameters['validation_interval']}, but there are only "
            f"{parameters['max_epochs']} epochs (max_epochs). Validate more often."
        )


def _check_model(parameters: Mapping[str, Any], model: BuiltModel) -> None:
    """Assert that the network can take pictures of the training resolution, and that what it needs is there."""
    if parameters["resolution"] < model.stride:
        raise MedsegError(
            f"resolution {parameters['resolution']} is less than one step of the encoder "
            f"{parameters['backbone']!r}, which divides pictures by {model.stride}. Take {model.stride} or more."
        )
    weights = parameters["weights"]
    named_run(weights)
    hub = hub_weights(parameters["architecture"].lower(), parameters["backbone"].lower())
    if not (weights in ("none", *hub) or weights.startswith(RUN) or project.resolve(weights).is_file()):
        if Path(weights).suffix:
            raise MedsegError(
                f"The file of pretrained weights {weights!r} does not exist. Give a file, imagenet or none."
            )
        known = "', '".join(["none", *hub])
        raise MedsegError(f"weights is {weights!r}, expected '{known}', run:ID of a run, or a file.")
    optimisation = Optimisation.of(parameters)
    optimisation.rates(model.network.network, model.encoder)
    scales(parameters.get("multiscale", ()), parameters["resolution"], model.stride)
    if wrong := [weight for weight in parameters.get("deep_supervision", ()) if weight <= 0]:
        raise MedsegError(f"deep_supervision holds {wrong[0]:g}; expected weights above 0, such as 0.5, 0.25.")
    if not 0 <= (smoothing := parameters.get("label_smoothing", 0.0)) < 1:
        raise MedsegError(f"label_smoothing is {smoothing:g}, expected a share from 0 to below 1, such as 0.1.")
    if optimisation.freeze_encoder_epochs and (model.encoder is None or weights == "none"):
        what = "has no encoder of its own" if model.encoder is None else "begins with random weights (weights is none)"
        raise MedsegError(f"freeze_encoder_epochs keeps an encoder as it begins, but this network {what}. Set it to 0.")


if __name__ == "__main__":
    preflight.answer(check)
