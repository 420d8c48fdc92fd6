"""From pictures to probabilities at their own sizes: how a network is shown a picture, the same in every framework."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import cv2
import numpy as np

from medseg.datasets.augmentation.warp import fit_picture, fitted_size, resize_image
from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.network import Array, Measurable, Network, Windowed
from medseg.evaluation.views import AS_IT_IS, View
from medseg.evaluation.windows import check_windows, slide

_WINDOWS_AT_ONCE = 4


class StretchedPredictor:
    """Probabilities of a network that sees pictures as squares of ``resolution`` pixels, whatever their shape.

    They are the mean over ``views``, see :func:`medseg.evaluation.views.views`.
    """

    def __init__(self, network: Network, resolution: int, views: Sequence[View] = AS_IT_IS) -> None:
        self.network, self._resolution, self._views = network, resolution, tuple(views)

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Probabilities of ``pictures``, each (H, W, 3) uint8 RGB; sizes may differ.

        Each is (H, W) float32 in [0, 1] at the picture's own size, or (C, H, W) of a network of several classes.
        """
        logits = [self._logits(pictures, view) for view in self._views]
        found = (
            _mean(self.network, [view[number] for view in logits], picture.shape[:2], "bilinear")
            for number, picture in enumerate(pictures)
        )
        return [maps[0] if len(maps) == 1 else maps for maps in found]

    def bare(self) -> BareNetwork:
        """The network of a run alone, to be measured, for pictures (B, R, R, 3) of the training resolution R."""
        return cast(Measurable, self.network).bare((self._resolution, self._resolution, 3))

    def _logits(self, pictures: Sequence[np.ndarray], view: View) -> Array:
        """Logits (B, C, h, w), mirrored back, at the size at which the network saw the pictures."""
        side = max(1, round(self._resolution * view.scale))
        seen = np.stack([resize_image(picture, side) for picture in pictures])
        if not view.flipped:
            return self.network.logits(seen)
        return self.network.mirrored(self.network.logits(np.ascontiguousarray(seen[:, :, ::-1])))


class ProbabilityMaps(Sequence[np.ndarray]):
    """Probabilities of one picture, brought to its own ``size`` (height, width) one class at a time.

    ``logits`` of each view are (C, h, w) float32, mirrored back, all of the whole picture; they stay on their device.
    ``upsampling`` is bilinear or bicubic. Each map is (H, W) float32 in [0, 1], the mean over the views.
    """

    def __init__(
        self, network: Network, logits: Sequence[Array], size: tuple[int, int], upsampling: str = "bilinear"
    ) -> None:
        self._network, self._logits, self._size, self._upsampling = network, logits, size, upsampling

    def __len__(self) -> int:
        return len(self._logits[0])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} classes, not a number {number}")
        part = [view[number : number + 1] for view in self._logits]
        return _mean(self._network, part, self._size, self._upsampling)[0]


class FittedPredictor:
    """Probabilities of a network of overlapping classes, which sees grey pictures in their own aspect ratio.

    Without a window the whole picture is fitted into a square of the training resolution, as in training. With one it
    is predicted in squares of ``window`` pixels of the picture, each brought to the training resolution, so that the
    network sees what is shown larger than whole: sensible where it was trained on crops of about that share of the
    picture. Logits are blended over windows; probabilities are averaged over views, each of which has its own windows.

    Args:
        resolution: side of the training pictures, pixels.
        window: side of the windows, pixels of the picture; 0, or at least the picture's longer side: none.
        stride: from one window to the next, pixels of the picture; 0: half a window.
        upsampling: from the logits to the picture's own size, bilinear or bicubic.
        batch: windows at once; out of range it is a :class:`MedsegError`, as are window and stride.
    """

    def __init__(
        self,
        network: Windowed,
        resolution: int,
        *,
        window: int = 0,
        stride: int = 0,
        views: Sequence[View] = AS_IT_IS,
        upsampling: str = "bilinear",
        batch: int = _WINDOWS_AT_ONCE,
    ) -> None:
        check_windows(window, stride)
        if batch < 1:
            raise MedsegError(f"batch is {batch}, expected 1 or more windows at once.")
        self.network, self._resolution = network, resolution
        self._window, self._stride = window, stride or max(1, window // 2)
        self._views, self._upsampling, self._batch = tuple(views), upsampling, batch

    def __call__(self, picture: np.ndarray) -> ProbabilityMaps:
        """Maps of a picture (H, W) or (H, W, 3) uint8, of which the grey value counts."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        logits = [self._logits(grey, view) for view in self._views]
        return ProbabilityMaps(self.network, logits, grey.shape, self._upsampling)

    def bare(self) -> BareNetwork:
        """The network of a run alone, to be measured, for pictures (B, R, R, 1) of the training resolution R."""
        return cast(Measurable, self.network).bare((self._resolution, self._resolution, 1))

    def _logits(self, picture: np.ndarray, view: View) -> Array:
        """Logits (C, h, w) float32 of the whole picture, at the size at which the network saw it."""
        # Mirrored before it is fitted, so that what is filled up stays on the right, as in training.
        seen = np.ascontiguousarray(picture[:, ::-1]) if view.flipped else picture
        longest = max(seen.shape)
        windowed = 0 < self._window < longest
        enlarged = view.scale * (self._resolution / self._window if windowed else self._resolution / longest)
        side = max(1, round(longest * enlarged))
        width, height = fitted_size(seen.shape[::-1], side)
        square = fit_picture(seen, side)[..., None]
        if windowed:
            logits = slide(
                self.network,
                square[:height, :width],
                window=self._resolution,
                stride=min(self._resolution, max(1, round(self._stride * self._resolution / self._window))),
                batch=self._batch,
            )
        else:
            logits = self.network.logits(square[None])[0, :, :height, :width]
        return self.network.mirrored(logits) if view.flipped else logits


def _mean(network: Network, logits: Sequence[Array], size: tuple[int, int], upsampling: str) -> np.ndarray:
    """Probabilities (C, H, W) float32: the mean over the views whose logits (C, h, w) these are."""
    total = network.probabilities(logits[0], size, upsampling)
    for view in logits[1:]:
        total = total + network.probabilities(view, size, upsampling)
    return network.fetched(total / len(logits))
