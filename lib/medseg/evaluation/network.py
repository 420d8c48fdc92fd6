"""What predictors ask of a trained network, whichever framework computes it, and NumPy's part for exported ones.

An ``Array`` is what the network computes with, where it computes: a tensor, or an array of NumPy. It can be indexed,
added and divided; all other operations are asked of the network, so that maps stay on a GPU until they are wanted.
"""

from typing import Any, Protocol

import cv2
import numpy as np

from medseg.evaluation.cost import BareNetwork

Array = Any

_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


class Network(Protocol):
    """A trained network where it computes."""

    def logits(self, pictures: np.ndarray) -> Array:
        """Logits (B, C, h, w) float32 of pictures (B, h, w, K) uint8, RGB or grey as the network was trained."""

    def mirrored(self, logits: Array) -> Array:
        """The last axis the other way round."""

    def probabilities(self, logits: Array, size: tuple[int, int], upsampling: str) -> Array:
        """Probabilities (C, H, W) float32 of the whole picture of ``size`` (H, W), from logits (C, h, w).

        The logits are brought to that size before, ``upsampling`` bilinear or bicubic; the centre of pixel i lies at
        i + 1/2.
        """

    def fetched(self, values: Array) -> np.ndarray:
        """Values as an array of NumPy."""


class Measurable(Network, Protocol):
    """A network that can be had alone, for :func:`medseg.evaluation.cost.measure`."""

    def bare(self, shape: tuple[int, ...]) -> BareNetwork:
        """The network alone, for pictures (B, ``*shape``), as :meth:`Network.logits` takes them."""


class Windowed(Network, Protocol):
    """A network whose logits can be added up over windows."""

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """float32; can be written to by index."""

    def sent(self, values: np.ndarray) -> Array:
        """Values where the network computes."""


class OnHost:
    """The operations of :class:`Windowed` but ``logits``, in NumPy; ``exclusive``: a pixel has one class alone."""

    def __init__(self, exclusive: bool) -> None:
        self._activation = softmax if exclusive else sigmoid

    def mirrored(self, logits: np.ndarray) -> np.ndarray:
        return logits[..., ::-1]

    def zeros(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.float32)

    def sent(self, values: np.ndarray) -> np.ndarray:
        return values

    def probabilities(self, logits: np.ndarray, size: tuple[int, int], upsampling: str) -> np.ndarray:
        method = _INTERPOLATIONS[upsampling]
        native = [cv2.resize(np.ascontiguousarray(part), size[::-1], interpolation=method) for part in logits]
        return self._activation(np.stack(native))

    def fetched(self, values: np.ndarray) -> np.ndarray:
        return values


def filled_up(pictures: np.ndarray, multiple: int, least: int) -> np.ndarray:
    """Pictures (B, h, w, K) at whose right and bottom the last pixels are repeated.

    Height and width become multiples of ``multiple`` and at least ``least`` pixels, as exported networks want them.
    """
    bottom, right = (-(-max(side, least) // multiple) * multiple - side for side in pictures.shape[1:3])
    return np.pad(pictures, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Without overflow, since 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)
