"""A trained network of Keras as predictors want it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.views import FLIP
from medseg.tf_shared import cost, keras, tf
from medseg.tf_shared import device as devices


class TrainedNetwork:
    """A :class:`medseg.evaluation.network.Network`; its pictures have the size that it was trained at.

    ``logits`` go from pictures (B, R, R, 3) uint8 RGB to (B, R, R, C) float32, the channels last as Keras has them,
    ``activation`` from logits (H, W, C) to probabilities (H, W, C); ``model``, on ``device``, is what computes them.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray], tf.Tensor],
        activation: Callable[[tf.Tensor], tf.Tensor],
        model: keras.Model,
        device: devices.Device,
    ) -> None:
        self._logits, self._activation, self.model, self._device = logits, activation, model, device

    def logits(self, pictures: np.ndarray) -> tf.Tensor:
        return tf.transpose(self._logits(pictures), (0, 3, 1, 2))

    def mirrored(self, logits: tf.Tensor) -> tf.Tensor:
        return logits[..., ::-1]

    def probabilities(self, logits: tf.Tensor, size: tuple[int, int], upsampling: str) -> tf.Tensor:
        native = resized(tf.transpose(logits, (1, 2, 0)), size, upsampling)
        return tf.transpose(self._activation(native), (2, 0, 1))

    def fetched(self, values: tf.Tensor) -> np.ndarray:
        return np.asarray(values)

    def bare(self, shape: tuple[int, ...]) -> BareNetwork:
        """The network alone, for pictures (B, ``*shape``)."""
        return cost.bare_network(self.model, self._logits, shape[0], self._device)


def resized(logits: tf.Tensor, size: tuple[int, int], method: str = "bilinear") -> tf.Tensor:
    """Interpolation of (h, w, C) to ``size`` (H, W), float32; the centre of pixel i lies at i + 1/2.

    Bilinear, the same numbers as PyTorch's ``interpolate`` with ``align_corners=False``.
    """
    return tf.image.resize(logits[None], size, method=method, antialias=False)[0]


def check_tta(names: Sequence[str]) -> None:
    """A :class:`MedsegError` for what is not ``flip`` (mirrored left to right): networks here have one input size."""
    if unknown := [name for name in names if name != FLIP]:
        raise MedsegError(
            f"tta holds {unknown[0]!r}; in Keras, where networks see pictures at one size, it may hold {FLIP!r} alone."
        )


def device_of(parameters: Mapping[str, Any], device: str) -> devices.Device:
    """Where a trained network predicts: in the precision of its training; on a CPU in fp32."""
    chosen = devices.choose(device)
    return devices.choose(device, parameters["precision"]) if chosen.kind == "cuda" else chosen
