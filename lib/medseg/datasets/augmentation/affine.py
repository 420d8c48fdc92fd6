"""Geometric augmentation as matrices: Albumentations' transforms that have an affine form.

Names, parameters, defaults and meaning are those of Albumentations 2.0.8. Each transform draws a matrix from continuous
points (x, y, 1) of a frame (width, height) to those of the next frame; picture and polygons are moved once, by the
product. What comes from outside is black.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from medseg.datasets.augmentation.ranges import Span, Transform, drawn, flag, span, span_per_axis
from medseg.errors import MedsegError

Frame = tuple[float, float]


@dataclass(frozen=True)
class AffineTransform(Transform):
    """A transform with an affine form."""

    mirrors: ClassVar[bool] = False
    """Whether it can turn a left hand into a right one."""

    def step(self, rng: np.random.Generator, frame: Frame, resolution: int) -> tuple[np.ndarray, Frame]:
        """Draw one: float64 (3, 3), and the frame that it leads to."""
        raise NotImplementedError

    def zoom(self, frame: Frame) -> float:
        """Its greatest usual magnification, relative to the frame that becomes the training picture."""
        return 1.0


@dataclass(frozen=True)
class D4(AffineTransform):
    """A symmetry of the square, out of equally likely ``elements``: quarter turns, from 4 on mirrored after them."""

    p: float = 1.0
    mirrors = True
    elements: ClassVar[tuple[int, ...]] = tuple(range(8))

    def step(self, rng, frame, resolution):
        element = self.elements[int(rng.integers(len(self.elements)))]
        width, height = frame
        quarter_turns = (  # counter-clockwise, as numpy.rot90
            ((1, 0, 0), (0, 1, 0)),
            ((0, 1, 0), (-1, 0, width)),
            ((-1, 0, width), (0, -1, height)),
            ((0, -1, height), (1, 0, 0)),
        )
        matrix = rows_of(*quarter_turns[element % 4])
        turned = frame[::-1] if element % 2 else frame
        if element < 4:
            return matrix, turned
        return rows_of((-1, 0, turned[0]), (0, 1, 0)) @ matrix, turned


@dataclass(frozen=True)
class RandomRotate90(D4):
    mirrors = False
    elements = (0, 1, 2, 3)


@dataclass(frozen=True)
class HorizontalFlip(D4):
    p: float = 0.5
    elements = (4,)


@dataclass(frozen=True)
class VerticalFlip(D4):
    p: float = 0.5
    elements = (6,)


@dataclass(frozen=True)
class Transpose(D4):
    p: float = 0.5
    elements = (7,)


@dataclass(frozen=True)
class Rotate(AffineTransform):
    limit: Span = (-90, 90)
    p: float = 0.5
    readers: ClassVar = {"limit": span}

    def step(self, rng, frame, resolution):
        return _about_centre(frame, rotate=drawn(self.limit, rng)), frame


@dataclass(frozen=True)
class SafeRotate(Rotate):
    """As Rotate, and the turned picture is shrunk to fit into the frame."""

    def step(self, rng, frame, resolution):
        angle = drawn(self.limit, rng)
        cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
        width, height = frame
        shrunk_x, shrunk_y = width / (width * cos + height * sin), height / (width * sin + height * cos)
        centre = rows_of((shrunk_x, 0, width / 2 * (1 - shrunk_x)), (0, shrunk_y, height / 2 * (1 - shrunk_y)))
        return centre @ _about_centre(frame, rotate=angle), frame


@dataclass(frozen=True)
class Affine(AffineTransform):
    scale: Any = (1.0, 1.0)
    translate_percent: Any = None
    translate_px: Any = None
    rotate: Span | float = 0.0
    shear: Any = (0.0, 0.0)
    keep_ratio: bool = False
    balanced_scale: bool = False
    p: float = 0.5
    readers: ClassVar = {
        "scale": partial(span_per_axis, default=1.0, low=0.01),
        "translate_percent": lambda value, what: None if value is None else span_per_axis(value, what, 0.0),
        "translate_px": lambda value, what: None if value is None else span_per_axis(value, what, 0),
        "rotate": lambda value, what: span_per_axis(value, what, 0.0)["x"],
        "shear": partial(span_per_axis, default=1.0, low=-89, high=89),
        "keep_ratio": flag,
        "balanced_scale": flag,
    }

    def __post_init__(self):
        if self.translate_percent is not None and self.translate_px is not None:
            raise MedsegError("Affine takes translate_percent or translate_px, not both.")
        if self.translate_percent is None and self.translate_px is None:
            object.__setattr__(self, "translate_px", 0)
        super().__post_init__()
        if self.keep_ratio and self.scale["x"] != self.scale["y"]:
            raise MedsegError(f"Affine(keep_ratio=True) needs the same scale for x and y, got {self.scale}.")

    def step(self, rng, frame, resolution):
        if self.translate_px is not None:
            shift = [int(rng.integers(int(low), int(high) + 1)) for low, high in map(self.translate_px.get, "xy")]
        else:
            shift = [drawn(self.translate_percent[axis], rng) * side for axis, side in zip("xy", frame, strict=True)]
        shear = tuple(-drawn(self.shear[axis], rng) for axis in "xy")
        scale_x, scale_y = (self._scale(self.scale[axis], rng) for axis in "xy")
        scale = scale_x, scale_x if self.keep_ratio else scale_y
        return _about_centre(frame, rotate=drawn(self.rotate, rng), scale=scale, shear=shear, shift=shift), frame

    def zoom(self, frame):
        return max(1.0, self.scale["x"][1], self.scale["y"][1])

    def _scale(self, bounds: Span, rng: np.random.Generator) -> float:
        if self.balanced_scale and bounds[0] < 1 < bounds[1]:  # shrinking and enlarging equally often
            bounds = (bounds[0], 1.0) if rng.random() < 0.5 else (1.0, bounds[1])
        return drawn(bounds, rng)


@dataclass(frozen=True)
class ShiftScaleRotate(AffineTransform):
    shift_limit: Span = (-0.0625, 0.0625)
    scale_limit: Span = (-0.1, 0.1)
    rotate_limit: Span = (-45, 45)
    shift_limit_x: Span | None = None
    shift_limit_y: Span | None = None
    p: float = 0.5
    readers: ClassVar = {
        **dict.fromkeys(("shift_limit", "shift_limit_x", "shift_limit_y"), partial(span, low=-1, high=1)),
        "scale_limit": partial(span, low=-0.99),
        "rotate_limit": span,
    }

    def __post_init__(self):
        for axis in ("shift_limit_x", "shift_limit_y"):
            if getattr(self, axis) is None:
                object.__setattr__(self, axis, self.shift_limit)
        super().__post_init__()

    def step(self, rng, frame, resolution):
        shift = drawn(self.shift_limit_x, rng) * frame[0], drawn(self.shift_limit_y, rng) * frame[1]
        scale = 1 + drawn(self.scale_limit, rng), 1 + drawn(self.scale_limit, rng)  # each axis its own, as in 2.0.8
        return _about_centre(frame, rotate=drawn(self.rotate_limit, rng), scale=scale, shift=shift), frame

    def zoom(self, frame):
        return max(1.0, 1 + self.scale_limit[1])


TRANSFORMS: tuple[type[AffineTransform], ...] = (
    HorizontalFlip, VerticalFlip, Transpose, RandomRotate90, D4, Rotate, SafeRotate, Affine, ShiftScaleRotate,
)  # fmt: skip


def rows_of(first: tuple, second: tuple) -> np.ndarray:
    """float64 (3, 3) of an affine map with these first two rows."""
    return np.array([first, second, (0, 0, 1)], np.float64)


def _about_centre(frame, *, rotate, scale=(1, 1), shear=(0, 0), shift=(0, 0)) -> np.ndarray:
    """Scale, then rotate (degrees, counter-clockwise as seen), shear (degrees), shift, about the frame's centre."""
    x, y = frame[0] / 2, frame[1] / 2
    cos, sin = math.cos(math.radians(rotate)), math.sin(math.radians(rotate))
    turn = np.array([[cos * scale[0], sin * scale[1]], [-sin * scale[0], cos * scale[1]]])
    if any(shear):
        turn = np.array([[1, math.tan(math.radians(shear[0]))], [math.tan(math.radians(shear[1])), 1]]) @ turn
    (a, b), (c, d) = turn.tolist()
    return rows_of((a, b, x - a * x - b * y + shift[0]), (c, d, y - c * x - d * y + shift[1]))
