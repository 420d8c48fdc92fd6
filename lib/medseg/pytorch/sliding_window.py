"""Prediction in overlapping windows, for pictures larger than what a network sees at once."""

from collections.abc import Callable
from itertools import product

import torch
from torch.nn import functional


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one axis: every ``stride`` pixels, the last shifted back to end at the border.

    Every pixel is covered. A single window at 0 where it is longer than the axis.

    Raises:
        ValueError: a stride below 1, or above ``window``, which would leave gaps.
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
    """Predict a picture window by window; where windows overlap, their weighted mean.

    The weights of a window are the product of two tents: its middle counts most, since there the network sees the
    surroundings of a pixel on all sides.

    Args:
        predict: takes windows (B, K, window, window) and gives (B, C, window, window).
        picture: (K, H, W). One that is smaller than a window is filled up with 0 on the right and at the bottom.
        window: side of the windows, pixels.
        stride: from one window to the next, pixels, at most ``window``.
        batch: windows at once, at most.

    Returns:
        float32 (C, H, W), on the device of ``picture``.

    Raises:
        ValueError: a stride or a batch that is out of range.
    """
    if batch < 1:
        raise ValueError(f"the batch must be 1 or more, got {batch}")
    height, width = picture.shape[1:]
    picture = functional.pad(picture, (0, max(0, window - width), 0, max(0, window - height)))
    rows, columns = (starts(length, window, stride) for length in picture.shape[1:])
    corners = list(product(rows, columns))
    ramp = tent(window, picture.device)
    weight = ramp[:, None] * ramp
    total: torch.Tensor | None = None
    for first in range(0, len(corners), batch):
        some = corners[first : first + batch]
        windows = torch.stack([picture[:, top : top + window, left : left + window] for top, left in some])
        for (top, left), predicted in zip(some, predict(windows), strict=True):
            if total is None:
                total = torch.zeros((len(predicted), *picture.shape[1:]), device=picture.device)
            total[:, top : top + window, left : left + window] += predicted.float() * weight
    assert total is not None  # there is a window at least
    # The windows form a grid, so that the sum of their weights is a product too.
    total /= _summed(ramp, rows, picture.shape[1])[:, None] * _summed(ramp, columns, picture.shape[2])
    return total[:, :height, :width]


def _summed(ramp: torch.Tensor, begins: list[int], length: int) -> torch.Tensor:
    total = torch.zeros(length, device=ramp.device)
    for begin in begins:
        total[begin : begin + len(ramp)] += ramp
    return total
