"""Overlapping windows over pictures that are larger than what a network sees at once."""

from itertools import product

import numpy as np

from medseg.errors import MedsegError
from medseg.evaluation.network import Array, Windowed


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


def tent(window: int) -> np.ndarray:
    """Weights (window,) float32 that fall linearly from the middle to the ends, where they stay above 0."""
    middles = np.arange(window, dtype=np.float32) + np.float32(0.5)
    return np.minimum(middles, window - middles)


def slide(network: Windowed, picture: np.ndarray, *, window: int, stride: int, batch: int = 1) -> Array:
    """Logits (C, H, W) float32 of a picture (H, W, K) uint8, window by window; where they overlap their weighted mean.

    The weights of a window are the product of two tents: its middle counts most, since there the network sees the
    surroundings of a pixel on all sides. The network is shown at most ``batch`` windows at once. The picture is filled
    up with 0 on the right and at the bottom where it is smaller than a window. ValueError: a stride or a batch that is
    out of range.
    """
    if batch < 1:
        raise ValueError(f"the batch must be 1 or more, got {batch}")
    height, width = picture.shape[:2]
    picture = np.pad(picture, ((0, max(0, window - height)), (0, max(0, window - width)), (0, 0)))
    size = picture.shape[:2]
    corners = list(product(*(starts(length, window, stride) for length in size)))
    ramp = tent(window)
    weight, weights = ramp[:, None] * ramp, np.zeros(size, np.float32)
    total, sent = None, network.sent(weight)
    for first in range(0, len(corners), batch):
        places = [np.s_[top : top + window, left : left + window] for top, left in corners[first : first + batch]]
        predicted = network.logits(np.stack([picture[place] for place in places]))
        for number, (rows, columns) in enumerate(places):
            if total is None:
                total = network.zeros((predicted.shape[1], *size))
            weights[rows, columns] += weight
            total[:, rows, columns] += predicted[number] * sent
    assert total is not None  # there is a window at least
    total /= network.sent(weights)
    return total[:, :height, :width]


def check_windows(window: int, stride: int) -> None:
    """Refuse windows that do not cover every pixel: MedsegError."""
    if window < 0 or stride < 0 or stride > window:
        raise MedsegError(
            f"window is {window} and stride {stride}; expected a window of 1 pixel or more (0: none) and a stride of 1 "
            "to the window's side (0: half of it), or pixels would be left out."
        )
