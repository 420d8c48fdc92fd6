"""Augmentation of grey values: Albumentations' transforms that leave every pixel in its place.

Names, parameters, defaults and meaning are those of Albumentations 2.0.8 for a grey picture. Those that map each grey
value to another are composed, unrounded, into one look-up table; the others work on the picture between two tables.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation.ranges import Span, drawn, number, odd_between, span


@dataclass(frozen=True)
class ToneTransform:
    """A transform of the picture alone; ``p`` is the probability that it happens."""

    def __post_init__(self) -> None:
        self._read(p=lambda value, what: number(value, what, 0, 1))

    def _read(self, **readers: Any) -> None:
        """Replace each named parameter by what its reader makes of it."""
        for parameter, reader in readers.items():
            what = f"{type(self).__name__}({parameter}=...)"
            object.__setattr__(self, parameter, reader(getattr(self, parameter), what))


@dataclass(frozen=True)
class TableTransform(ToneTransform):
    """Maps each grey value to another."""

    def values(self, table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one and apply it to a table of float64 (256,), 0 to 255; the result may leave that range."""
        raise NotImplementedError


@dataclass(frozen=True)
class PictureTransform(ToneTransform):
    """Needs the picture itself."""

    def picture(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one and apply it: uint8 (H, W) to uint8 (H, W)."""
        raise NotImplementedError


@dataclass(frozen=True)
class RandomBrightnessContrast(TableTransform):
    brightness_limit: Span = (-0.2, 0.2)
    contrast_limit: Span = (-0.2, 0.2)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(brightness_limit=span, contrast_limit=span)

    def values(self, table, rng):
        return table * (1 + drawn(self.contrast_limit, rng)) + 255 * drawn(self.brightness_limit, rng)


@dataclass(frozen=True)
class RandomGamma(TableTransform):
    gamma_limit: Span = (80, 120)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(gamma_limit=lambda value, what: span(value, what, start=1, low=1))

    def values(self, table, rng):
        return 255 * (table / 255) ** (drawn(self.gamma_limit, rng) / 100)


@dataclass(frozen=True)
class InvertImg(TableTransform):
    p: float = 0.5

    def values(self, table, rng):
        return 255 - table


@dataclass(frozen=True)
class GaussNoise(PictureTransform):
    std_range: Span = (0.2, 0.44)
    mean_range: Span = (0.0, 0.0)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(
            std_range=lambda value, what: span(value, what, start=0, low=0, high=1),
            mean_range=lambda value, what: span(value, what, start=0, low=-1, high=1),
        )

    def picture(self, picture, rng):
        # OpenCV's generator is four times faster than numpy's; it is seeded anew for every picture.
        cv2.setRNGSeed(int(rng.integers(1 << 31)))
        noise = cv2.randn(
            np.empty(picture.shape, np.int16), 255 * drawn(self.mean_range, rng), 255 * drawn(self.std_range, rng)
        )
        return cv2.add(picture, noise, dtype=cv2.CV_8U)


@dataclass(frozen=True)
class CLAHE(PictureTransform):
    clip_limit: Span = 4.0
    tile_grid_size: tuple[int, int] = (8, 8)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(clip_limit=lambda value, what: span(value, what, start=1, low=1), tile_grid_size=_grid)

    def picture(self, picture, rng):
        return cv2.createCLAHE(drawn(self.clip_limit, rng), self.tile_grid_size).apply(picture)


@dataclass(frozen=True)
class Equalize(PictureTransform):
    p: float = 0.5

    def picture(self, picture, rng):
        return cv2.equalizeHist(picture)


@dataclass(frozen=True)
class GaussianBlur(PictureTransform):
    blur_limit: Span = 0
    sigma_limit: Span = (0.5, 3.0)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(
            blur_limit=lambda value, what: span(value, what, start=0, low=0, high=99),
            sigma_limit=lambda value, what: span(value, what, start=0, low=0),
        )

    def picture(self, picture, rng):
        sigma = max(drawn(self.sigma_limit, rng), 1e-3)
        side = int(rng.integers(int(self.blur_limit[0]), int(self.blur_limit[1]) + 1))
        side = side or 2 * math.floor(3.5 * sigma) + 1  # 0 leaves the choice to the deviation
        return cv2.GaussianBlur(picture, (side | 1, side | 1), sigma, borderType=cv2.BORDER_REFLECT_101)


@dataclass(frozen=True)
class Blur(PictureTransform):
    blur_limit: Span = (3, 7)
    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._read(blur_limit=lambda value, what: span(value, what, start=3, low=3, high=99))

    def picture(self, picture, rng):
        side = odd_between(self.blur_limit, rng)
        return cv2.blur(picture, (side, side))


@dataclass(frozen=True)
class MedianBlur(Blur):
    def picture(self, picture, rng):
        return cv2.medianBlur(picture, odd_between(self.blur_limit, rng))


TRANSFORMS: tuple[type[ToneTransform], ...] = (
    RandomBrightnessContrast, RandomGamma, InvertImg, GaussNoise, CLAHE, Equalize, GaussianBlur, Blur, MedianBlur,
)  # fmt: skip
"""The transforms of this module."""


def _grid(value: Any, what: str) -> tuple[int, int]:
    low, high = span(value if isinstance(value, tuple | list) else (value, value), what, low=1)
    return int(low), int(high)
