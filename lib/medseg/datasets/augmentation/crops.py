"""Geometric augmentation as matrices, continued: cropping, and scaling before it.

As in :mod:`medseg.datasets.augmentation.affine`. Sides and corners of a crop are not rounded to whole pixels.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from medseg.datasets.augmentation.affine import AffineTransform, Frame, rows_of
from medseg.datasets.augmentation.ranges import Span, drawn, span
from medseg.errors import MedsegError


@dataclass(frozen=True)
class RandomScale(AffineTransform):
    """Has an effect only before a crop of so many pixels: the training picture is resized in the end."""

    scale_limit: Span = (-0.1, 0.1)
    p: float = 0.5
    readers: ClassVar = {"scale_limit": partial(span, low=-0.99)}

    def step(self, rng, frame, resolution):
        scale = 1 + drawn(self.scale_limit, rng)
        return rows_of((scale, 0, 0), (0, scale, 0)), (frame[0] * scale, frame[1] * scale)


@dataclass(frozen=True)
class RandomResizedCrop(AffineTransform):
    scale: Span = (0.08, 1.0)
    ratio: Span = (3 / 4, 4 / 3)
    p: float = 1.0
    readers: ClassVar = {
        "scale": lambda value, what: _pair(value, what, 1e-4, 1),
        "ratio": lambda value, what: _pair(value, what, 1e-2, 100),
    }

    def step(self, rng, frame, resolution):
        width, height = frame
        for _ in range(10):
            area = width * height * drawn(self.scale, rng)
            ratio = math.exp(drawn((math.log(self.ratio[0]), math.log(self.ratio[1])), rng))
            crop = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if crop[0] <= width and crop[1] <= height:
                corner = rng.random() * (width - crop[0]), rng.random() * (height - crop[1])
                break
        else:  # the largest crop of an allowed ratio, in the middle
            crop = min(width, height * self.ratio[1]), min(height, width / self.ratio[0])
            corner = (width - crop[0]) / 2, (height - crop[1]) / 2
        return _crop(corner, crop, (resolution, resolution))

    def zoom(self, frame):
        return 1 / math.sqrt(self.scale[0])


@dataclass(frozen=True)
class CenterCrop(AffineTransform):
    height: int
    width: int
    p: float = 1.0
    readers: ClassVar = dict.fromkeys(("height", "width"), lambda value, what: _pixels(value, what))

    def step(self, rng, frame, resolution):
        room = frame[0] - self.width, frame[1] - self.height
        if min(room) < 0:
            raise MedsegError(
                f"{type(self).__name__}(height={self.height}, width={self.width}) does not fit into a picture of "
                f"{frame[0]:.0f} x {frame[1]:.0f} pixels (width x height). Choose a smaller crop."
            )
        return _crop(self._corner(rng, *room), (self.width, self.height), (self.width, self.height))

    def zoom(self, frame):
        return max(1.0, max(frame) / max(self.width, self.height))

    def _corner(self, rng: np.random.Generator, x: float, y: float) -> Frame:
        return x / 2, y / 2


@dataclass(frozen=True)
class RandomCrop(CenterCrop):
    def _corner(self, rng, x, y):
        return x * rng.random(), y * rng.random()


TRANSFORMS: tuple[type[AffineTransform], ...] = (RandomScale, RandomResizedCrop, RandomCrop, CenterCrop)


def _crop(corner: Frame, size: Frame, target: Frame) -> tuple[np.ndarray, Frame]:
    x, y = target[0] / size[0], target[1] / size[1]
    return rows_of((x, 0, -x * corner[0]), (0, y, -y * corner[1])), target


def _pair(value: Any, what: str, low: float, high: float) -> Span:
    if not isinstance(value, tuple | list):
        raise MedsegError(f"{what} must be two numbers, got {value!r}.")
    return span(value, what, low=low, high=high)


def _pixels(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise MedsegError(f"{what} must be a whole number of pixels, got {value!r}.")
    return value
