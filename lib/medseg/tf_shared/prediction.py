"""A trained network as a predictor: pictures in, probabilities at their own size out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.views import FLIP
from medseg.tf_shared import cost, keras, tf
from medseg.tf_shared import device as devices


class Predictor:
    """Probabilities of a network that takes square pictures of ``resolution`` (R) pixels.

    ``logits`` of ``network`` on ``device`` goes from pictures (B, R, R, 3) uint8 RGB to (B, R, R, C) float32,
    ``activation`` from logits (H, W, C) to the probabilities of a picture; with ``tta`` those of the picture and of its
    mirror image are averaged.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray], tf.Tensor],
        resolution: int,
        activation: Callable[[tf.Tensor], tf.Tensor],
        tta: Sequence[str] = (),
        *,
        network: keras.Model,
        device: devices.Device,
    ) -> None:
        check_tta(tta)
        self.network, self._device = network, device
        self._logits, self._resolution, self._activation = logits, resolution, activation
        self._views = (1, -1) if tta else (1,)  # steps through the columns

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Probabilities of ``pictures``, each (H, W, 3) uint8 RGB; sizes may differ.

        They are float32 in [0, 1] at each picture's own size, as ``activation`` shapes them; the logits are brought to
        that size bilinearly before.
        """
        small = np.stack([resize_image(picture, self._resolution) for picture in pictures])
        seen = [self._logits(np.ascontiguousarray(small[:, :, ::step]))[:, :, ::step] for step in self._views]
        return [
            np.asarray(
                np.mean([self._activation(resized(view[number], picture.shape[:2])) for view in seen], 0, np.float32)
            )
            for number, picture in enumerate(pictures)
        ]

    def bare(self) -> BareNetwork:
        """The network alone, to be measured."""
        return cost.bare_network(self.network, self._logits, self._resolution, self._device)


def resized(logits: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Bilinear interpolation of (h, w, C) to ``size`` (H, W), float32; the centre of pixel i lies at i + 1/2.

    The same numbers as PyTorch's ``interpolate`` with ``align_corners=False``.
    """
    return tf.image.resize(logits[None], size, method="bilinear", antialias=False)[0]


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
