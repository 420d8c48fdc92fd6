"""The augmentations of a picture with its mask, or with its polygons: presets by name, or transforms."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from medseg.datasets.augmentation import warp
from medseg.datasets.augmentation.augmentor import AugmentorPipeline
from medseg.datasets.augmentation.transforms import Transforms, read_transforms
from medseg.datasets.augmentation.warp import Augmentation, Resolution
from medseg.datasets.frames import Reader, read_binary
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

PRESETS: dict[str, Callable[[Resolution], Augmentation]] = {
    "none": warp.Resize, "warp": warp.Warp, "augmentor": AugmentorPipeline,
}  # fmt: skip
"""Augmentations of a picture with its mask, by the name that a notebook's parameter gives."""

_CROP = "RandomResizedCrop(scale=(0.8, 1.0))"
_CROP_ROTATE = f"{_CROP} + Rotate(limit=10, p=0.5)"
POLYGON_PRESETS = {
    "none": "",
    "base": "",
    "crop": _CROP,
    "crop_rotate": _CROP_ROTATE,
    "intensity": f"{_CROP_ROTATE} + RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5)"
    " + RandomGamma(gamma_limit=(80, 120), p=0.5) + GaussNoise(std_range=(0.01, 0.05), p=0.3)",
}
"""Specifications, for a picture with its polygons; ``base`` is the published one: the plain resize, as ``none``."""

_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # from pixels to continuous points
_PIXEL = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])


class TransformedPair(Transforms):
    """Transforms of a picture and its mask; the frame they end in is resized, and its aspect ratio is not kept."""

    def __init__(self, specification: str, resolution: Resolution) -> None:
        super().__init__(read_transforms(specification, dict.fromkeys(PRESETS, "")))
        self.size = warp.size_of(resolution)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`medseg.datasets.augmentation.warp.Warp.__call__`."""
        warp.check_same_size(image, mask)
        height, width = self.size
        matrix, frame = self.draw(rng, mask.shape[::-1], max(self.size))
        matrix = _PIXEL @ np.diag([width / frame[0], height / frame[1], 1]) @ matrix @ _CENTRE
        zoom = np.linalg.norm(matrix[:2, :2], ord=2)  # the greatest magnification in any direction
        factor = max(1, int(1 / zoom + 1e-6))
        image, mask = warp.moved(warp.averaged_down(image, factor), mask, matrix, self.size, factor)
        return self.tone(image, rng), mask


def build_augmentation(specification: str, resolution: Resolution) -> Augmentation:
    """The augmentation of a name of :data:`PRESETS`, or of transforms: :mod:`medseg.datasets.augmentation.transforms`.

    ``resolution`` is the side of the square, or (height, width), in pixels. Raises MedsegError: there is none of that
    name; the message lists them. Or the transforms are written wrongly.
    """
    preset = PRESETS.get(specification.strip() or "none")
    return preset(resolution) if preset else TransformedPair(specification, resolution)


def reader(augmentation: Augmentation) -> Reader:
    """Reads a picture with its mask as small as ``augmentation`` needs it, so that more fit into memory.

    A preset that begins with the same smaller picture whatever it draws has a method ``shrunk``.
    """
    shrink = getattr(augmentation, "shrunk", None)
    return partial(_read_shrunk, shrink) if shrink else read_binary


class PolygonAugmentation(Transforms):
    """Transforms of a picture that is fitted into a square."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int], resolution: int) -> np.ndarray:
        """Draw the geometric part; the arguments are those of :meth:`Transforms.draw`.

        Returns:
            float64 (2, 3), from continuous points (x, y, 1) of the picture to those of the training picture. What no
            crop has made square is fitted as by :func:`medseg.datasets.augmentation.warp.fit_matrix`.
        """
        matrix, frame = self.draw(rng, size, resolution)
        if frame == (resolution, resolution):
            return matrix[:2]
        fit = warp.fit_matrix((max(1, round(frame[0])), max(1, round(frame[1]))), resolution)
        return fit[:, :2] @ matrix[:2]


def parse_augmentation(specification: str, *, side_is_predicted: bool = False) -> PolygonAugmentation:
    """Read a name of :data:`POLYGON_PRESETS`, or transforms: :mod:`medseg.datasets.augmentation.transforms`.

    ``side_is_predicted``: whether the model also tells left hands from right ones; mirroring is then refused. Raises
    MedsegError: as :func:`medseg.datasets.augmentation.transforms.read_transforms`, or mirroring is refused.
    """
    augmentation = PolygonAugmentation(read_transforms(specification, POLYGON_PRESETS))
    mirrors = [type(one).__name__ for one in augmentation.geometric if one.mirrors and one.p > 0]
    if side_is_predicted and mirrors:
        raise MedsegError(
            f"{' and '.join(mirrors)} would turn left hands into right ones while the model predicts the side. Take "
            "them out of the augmentation, or switch the prediction of the side off."
        )
    return augmentation


def _read_shrunk(
    shrink: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    dataset: PreparedDataset,
    row: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    return shrink(*read_binary(dataset, row))
