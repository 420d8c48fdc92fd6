"""Say what is wrong with the parameters of a training before anything is loaded or computed.

``python -m medseg.pytorch.check`` reads a JSON list of parameter sets and prints a JSON list of messages, empty where
all is well; a sweep asks it before the first run starts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from medseg import project
from medseg.datasets.augmentation.presets import build_augmentation
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.pytorch import device as devices
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import BuiltModel, build_model

_AT_LEAST_ONE = ("resolution", "batch_size", "accumulate", "max_epochs", "patience")


def check(parameters: Mapping[str, Any]) -> None:
    """Try everything that costs nothing: names, ranges, that files are there. The network is built without memory.

    Raises:
        MedsegError: what cannot work, and what would.
    """
    check_numbers(parameters, _AT_LEAST_ONE)
    build_augmentation(parameters["augmentation"], parameters["resolution"])
    build_loss(parameters["loss"])
    devices.choose(parameters["device"], parameters["precision"])
    with torch.device("meta"):
        model = build_model(
            parameters["architecture"], parameters["backbone"], parts=parameters["parts"], width=parameters["width"]
        )
    check_model(parameters, model)


def check_numbers(parameters: Mapping[str, Any], at_least_one: Sequence[str]) -> None:
    """Assert that the counts in ``at_least_one`` are positive, and what every optimiser needs.

    Raises:
        MedsegError: one of them is not.
    """
    for name in at_least_one:
        if parameters[name] < 1:
            raise MedsegError(f"{name} is {parameters[name]}, expected 1 or more.")
    if parameters["learning_rate"] <= 0 or parameters["weight_decay"] < 0:
        raise MedsegError(
            f"learning_rate is {parameters['learning_rate']:g} and weight_decay {parameters['weight_decay']:g}; "
            "expected a learning rate above 0 and a weight decay of 0 or more."
        )


def check_model(parameters: Mapping[str, Any], model: BuiltModel) -> None:
    """Assert that the network can take pictures of the training resolution, and that a file of weights is there.

    Raises:
        MedsegError: one of the two is not so.
    """
    if parameters["resolution"] < model.stride:
        raise MedsegError(
            f"resolution {parameters['resolution']} is less than one step of the encoder "
            f"{parameters['backbone']!r}, which divides pictures by {model.stride}. Take {model.stride} or more."
        )
    weights = parameters["weights"]
    if Path(weights).suffix and not project.resolve(weights).is_file():
        raise MedsegError(f"The file of pretrained weights {weights!r} does not exist. Give a file, imagenet or none.")


if __name__ == "__main__":
    preflight.answer(check)
