"""A network, what the record of a run says about it, and which pictures and local weights fit it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg import downloads
from medseg.errors import MedsegError
from medseg.project import display, resolve
from medseg.tf_shared import keras


@dataclass(frozen=True)
class BuiltModel:
    """A network and what a record of it needs.

    network: gives float32 logits (B, H, W, classes), whatever the precision of its layers.
    weights: what was really loaded: "random", or where they came from, with the file's name and sha256.
    """

    network: keras.Model
    weights: str

    @property
    def parameters_total(self) -> int:
        return self.network.count_params()

    @property
    def parameters_trainable(self) -> int:
        return int(sum(np.prod(variable.shape) for variable in self.network.trainable_variables))


def check_multiple(side: int, stride: int, what: str) -> None:
    """Refuse pictures of ``side`` pixels where that is no multiple of ``stride``; ``what`` says what this number is.

    The :class:`MedsegError` names the nearest.
    """
    if side < stride or side % stride:
        lower = side // stride * stride
        nearest = " or ".join(str(fitting) for fitting in (lower, lower + stride) if fitting > 0)
        raise MedsegError(f"{side} pixels are no multiple of {stride}, {what}. Take {nearest}.")


def local_file(parameter: str, value: str, choices: Sequence[str], suffixes: Sequence[str]) -> Path | None:
    """The local file that a notebook's ``parameter`` names, None where its value is one of ``choices``.

    Else ``value`` is a path with one of ``suffixes``; a relative one is meant from the project root. A
    :class:`MedsegError` where there is no such file.
    """
    if value in choices:
        return None
    file = resolve(value)
    if file.suffix not in suffixes or not file.is_file():
        kind = "HDF5" if len(suffixes) > 1 else suffixes[0]
        raise MedsegError(
            f"{parameter} is {value!r}, which is neither {' nor '.join(map(repr, choices))} nor a {kind} file: there "
            f"is none at {display(file)}."
        )
    return file


def refusal(file: Path | None, network: str, error: Exception, parameter: str) -> MedsegError:
    """What to tell a person when a network could not be built with the weights in ``file``, or (None) ImageNet's."""
    reason = downloads.told(error)
    if file is None:
        return downloads.unavailable(f"ImageNet weights for {network}", reason, parameter=parameter)
    return MedsegError(
        f"The weights in {display(file)} do not fit {network} ({reason}). Give the weights of this very network, as "
        f"Keras saves them without its classifier, or set {parameter} to 'none'."
    )
