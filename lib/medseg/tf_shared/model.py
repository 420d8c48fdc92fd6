"""A network and what the record of a run says about it."""

from dataclasses import dataclass

import numpy as np

from medseg.errors import MedsegError
from medseg.tf_shared.room import keras


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
        """Number of all parameters."""
        return self.network.count_params()

    @property
    def parameters_trainable(self) -> int:
        """Number of parameters that training changes."""
        return int(sum(np.prod(variable.shape) for variable in self.network.trainable_variables))


def check_multiple(side: int, stride: int, what: str) -> None:
    """Refuse pictures that a network cannot divide.

    Args:
        side: of the pictures, pixels.
        stride: that it has to be a multiple of.
        what: this number is.

    Raises:
        MedsegError: it is none; the message names the nearest.
    """
    if side < stride or side % stride:
        lower = side // stride * stride
        nearest = " or ".join(str(fitting) for fitting in (lower, lower + stride) if fitting > 0)
        raise MedsegError(f"{side} pixels are no multiple of {stride}, {what}. Take {nearest}.")
