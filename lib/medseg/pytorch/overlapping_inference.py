"""A trained run of overlapping classes as a predictor: a picture in, probabilities of one class at a time out.

Pictures larger than what a network sees at once are predicted in overlapping windows.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from medseg.datasets.augmentation.warp import fit_matrix, fit_picture
from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.views import AS_IT_IS, View, views
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.inference import ProbabilityMaps, TrainedNetwork, best_network
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.weights import BEST

_WINDOWS_AT_ONCE = 4


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one axis: every ``stride`` pixels, the last shifted back to end at the border.

    Every pixel is covered. A single window at 0 where it is longer than the axis. ValueError: a stride below 1, or
    above ``window``, which would leave gaps.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"the stride must be 1 to the window's {window} pixels, got {stride}")
    if length <= window:
        return [0]
    return [*range(0, length - window, stride), length - window]


def tent(window: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Weights (window,) float32 that fall linearly from the middle to the ends, where they stay above 0."""
    middles = torch.arange(window, dtype=torch.float32, device=device) + 0.5
    return torch.minimum(middles, window - middles)


def slide(
    predict: Callable[[torch.Tensor], torch.Tensor], picture: torch.Tensor, *, window: int, stride: int, batch: int = 1
) -> torch.Tensor:
    """Predict a picture (K, H, W) window by window; float32 (C, H, W), where windows overlap their weighted mean.

    The weights of a window are the product of two tents: its middle counts most, since there the network sees the
    surroundings of a pixel on all sides. ``predict`` takes at most ``batch`` windows (B, K, window, window) and gives
    (B, C, window, window). The picture is filled up with 0 on the right and at the bottom where it is smaller than a
    window. ValueError: a stride or a batch that is out of range.
    """
    if batch < 1:
        raise ValueError(f"the batch must be 1 or more, got {batch}")
    height, width = picture.shape[1:]
    picture = F.pad(picture, (0, max(0, window - width), 0, max(0, window - height)))
    corners = list(product(*(starts(length, window, stride) for length in picture.shape[1:])))
    ramp = tent(window, picture.device)
    weight = ramp[:, None] * ramp
    total, weights = torch.zeros(0), torch.zeros(picture.shape[1:], device=picture.device)
    for first in range(0, len(corners), batch):
        some = corners[first : first + batch]
        windows = torch.stack([picture[:, top : top + window, left : left + window] for top, left in some])
        for (top, left), predicted in zip(some, predict(windows), strict=True):
            if not len(total):
                total = torch.zeros((len(predicted), *picture.shape[1:]), device=picture.device)
            weights[top : top + window, left : left + window] += weight
            total[:, top : top + window, left : left + window] += predicted.float() * weight
    return total.div_(weights)[:, :height, :width]


class OverlappingPredictor:
    """Probabilities of a trained network of overlapping classes.

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
        model: BuiltModel,
        resolution: int,
        device: devices.Device,
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
        self._network, self._resolution = TrainedNetwork(model, device), resolution
        self._window, self._stride = window, stride or max(1, window // 2)
        self._views, self._upsampling, self._batch = tuple(views), upsampling, batch

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> ProbabilityMaps:
        """Maps of a picture (H, W) or (H, W, 3) uint8, of which the grey value counts."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        return ProbabilityMaps([self._logits(grey, view) for view in self._views], grey.shape, self._upsampling)

    def bare(self) -> BareNetwork:
        """The network alone, to be measured; it takes grey pictures (B, R, R) of the training resolution R."""
        return self._network.bare((self._resolution, self._resolution), lambda sent: sent[:, None])

    def _logits(self, picture: np.ndarray, view: View) -> torch.Tensor:
        """Logits (C, h, w) float32 of the whole picture, at the size at which the network saw it."""
        # Mirrored before it is fitted, so that what is filled up stays on the right, as in training.
        seen = np.ascontiguousarray(picture[:, ::-1]) if view.flipped else picture
        longest = max(seen.shape)
        windowed = 0 < self._window < longest
        enlarged = view.scale * (self._resolution / self._window if windowed else self._resolution / longest)
        side = max(1, round(longest * enlarged))
        fit = fit_matrix(seen.shape[::-1], side)
        height, width = round(fit[1, 1] * seen.shape[0]), round(fit[0, 0] * seen.shape[1])
        square = self._network.send(fit_picture(seen, side))
        if windowed:
            logits = slide(
                self._network,
                square[None, :height, :width],
                window=self._resolution,
                stride=min(self._resolution, max(1, round(self._stride * self._resolution / self._window))),
                batch=self._batch,
            )
        else:
            logits = self._network(square[None, None])[0, :, :height, :width]
        return logits.flip(-1) if view.flipped else logits


def load_predictor(run: Run, device: str = "auto", **options: Any) -> OverlappingPredictor:
    """The predictor of a finished run: see :func:`best_network`.

    ``options`` are window, stride, tta (see :func:`views`), upsampling, batch, and checkpoint (``best``, ``last``, or a
    file); what is left out is as the run's parameters say. A :class:`MedsegError` where one is out of range.
    """
    parameters = run.record["parameters"]
    wanted = {name: parameters[name] for name in ("window", "stride", "tta", "upsampling") if name in parameters}
    wanted |= options
    seen = views(wanted.pop("tta", ()))
    checkpoint = wanted.pop("checkpoint", BEST)
    return OverlappingPredictor(*best_network(run, device, checkpoint), views=seen, **wanted)


def check_windows(window: int, stride: int) -> None:
    """Refuse windows that do not cover every pixel: MedsegError."""
    if window < 0 or stride < 0 or stride > window:
        raise MedsegError(
            f"window is {window} and stride {stride}; expected a window of 1 pixel or more (0: none) and a stride of 1 "
            "to the window's side (0: half of it), or pixels would be left out."
        )
