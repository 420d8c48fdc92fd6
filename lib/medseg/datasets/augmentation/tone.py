"""Augmentation of grey values: Albumentations' transforms that leave every pixel in its place.

Names, parameters, defaults and meaning are those of Albumentations 2.0.8, for pictures that are grey or RGB. Those that
map each grey value to another are composed, unrounded, into one look-up table; the others need the picture itself.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import cv2
import numpy as np

from medseg.datasets.augmentation.ranges import Span, Transform, drawn, grid, odd_between, span


@dataclass(frozen=True)
class ToneTransform(Transform):
    """A transform of the picture alone."""


class TableTransform(ToneTransform):
    """Maps each grey value to another."""

    def values(self, table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one and apply it to a table of float64 (256,), 0 to 255; the result may leave that range."""
        raise NotImplementedError


class PictureTransform(ToneTransform):
    """Needs the picture itself."""

    def picture(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one and apply it: uint8 (H, W), or (H, W, 3), to the same."""
        raise NotImplementedError


@dataclass(frozen=True)
class RandomBrightnessContrast(TableTransform):
    brightness_limit: Span = (-0.2, 0.2)
    contrast_limit: Span = (-0.2, 0.2)
    p: float = 0.5
    readers: ClassVar = {"brightness_limit": span, "contrast_limit": span}

    def values(self, table, rng):
        return table * (1 + drawn(self.contrast_limit, rng)) + 255 * drawn(self.brightness_limit, rng)


@dataclass(frozen=True)
class RandomGamma(TableTransform):
    gamma_limit: Span = (80, 120)
    p: float = 0.5
    readers: ClassVar = {"gamma_limit": partial(span, start=1, low=1)}

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
    readers: ClassVar = {
        "std_range": partial(span, start=0, low=0, high=1),
        "mean_range": partial(span, start=0, low=-1, high=1),
    }

    def picture(self, picture, rng):
        # OpenCV's generator is four times faster than numpy's; it is seeded anew for every picture.
        cv2.setRNGSeed(int(rng.integers(1 << 31)))
        flat = picture.reshape(len(picture), -1)  # the channels side by side, for each its own noise
        noise = cv2.randn(
            np.empty(flat.shape, np.int16), 255 * drawn(self.mean_range, rng), 255 * drawn(self.std_range, rng)
        )
        return cv2.add(flat, noise, dtype=cv2.CV_8U).reshape(picture.shape)


@dataclass(frozen=True)
class CLAHE(PictureTransform):
    clip_limit: Span | float = 4.0
    tile_grid_size: tuple[int, int] = (8, 8)
    p: float = 0.5
    readers: ClassVar = {"clip_limit": partial(span, start=1, low=1), "tile_grid_size": grid}

    def picture(self, picture, rng):
        clahe = cv2.createCLAHE(drawn(self.clip_limit, rng), self.tile_grid_size)
        if picture.ndim == 2:
            return clahe.apply(picture)
        lightness, *colours = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB))
        return cv2.cvtColor(cv2.merge([clahe.apply(lightness), *colours]), cv2.COLOR_LAB2RGB)


@dataclass(frozen=True)
class Equalize(PictureTransform):
    p: float = 0.5

    def picture(self, picture, rng):
        return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(picture)])


@dataclass(frozen=True)
class GaussianBlur(PictureTransform):
    blur_limit: Span | int = 0
    sigma_limit: Span = (0.5, 3.0)
    p: float = 0.5
    readers: ClassVar = {
        "blur_limit": partial(span, start=0, low=0, high=99),
        "sigma_limit": partial(span, start=0, low=0),
    }

    def picture(self, picture, rng):
        sigma = max(drawn(self.sigma_limit, rng), 1e-3)
        side = int(rng.integers(int(self.blur_limit[0]), int(self.blur_limit[1]) + 1))
        side = side or 2 * math.floor(3.5 * sigma) + 1  # 0 leaves the choice to the deviation
        return cv2.GaussianBlur(picture, (side | 1, side | 1), sigma, borderType=cv2.BORDER_REFLECT_101)


@dataclass(frozen=True)
class Blur(PictureTransform):
    blur_limit: Span = (3, 7)
    p: float = 0.5
    readers: ClassVar = {"blur_limit": partial(span, start=3, low=3, high=99)}

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
