"""Augmentation of a picture with its polygons: :mod:`medseg.datasets.augmentation.transforms` as one affine map."""

import numpy as np

from medseg.datasets.augmentation.fit import fit_matrix
from medseg.datasets.augmentation.transforms import Transforms, read_transforms
from medseg.errors import MedsegError

_CROP = "RandomResizedCrop(scale=(0.8, 1.0))"
_CROP_ROTATE = f"{_CROP} + Rotate(limit=10, p=0.5)"
PRESETS = {
    "none": "",
    "base": "",
    "crop": _CROP,
    "crop_rotate": _CROP_ROTATE,
    "intensity": f"{_CROP_ROTATE} + RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5)"
    " + RandomGamma(gamma_limit=(80, 120), p=0.5) + GaussNoise(std_range=(0.01, 0.05), p=0.3)",
}
"""Specifications by name. ``base`` is the published one: the plain resize, as ``none``."""


class PolygonAugmentation(Transforms):
    """Transforms of a picture that is fitted into a square, ready to be drawn from; see :func:`parse_augmentation`."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int], resolution: int) -> np.ndarray:
        """Draw the geometric part.

        Args:
            rng: see :func:`medseg.datasets.augmentation.warp.generator`.
            size: (width, height) of the picture, in pixels; parameters in pixels are relative to it.
            resolution: side of the training picture, in pixels.

        Returns:
            float64 (2, 3), from continuous points (x, y, 1) of the picture to those of the training picture. What no
            crop has made square is fitted as by :func:`medseg.datasets.augmentation.fit.fit_matrix`.
        """
        matrix, frame = self.draw(rng, size, resolution)
        if frame == (resolution, resolution):
            return matrix[:2]
        fit = fit_matrix((max(1, round(frame[0])), max(1, round(frame[1]))), resolution)
        return fit[:, :2] @ matrix[:2]


def parse_augmentation(specification: str, *, side_is_predicted: bool = False) -> PolygonAugmentation:
    """Read a specification.

    Args:
        specification: a name of :data:`PRESETS` or transforms.
        side_is_predicted: whether the model also tells left hands from right ones; mirroring is then refused.

    Raises:
        MedsegError: as :func:`medseg.datasets.augmentation.transforms.read_transforms`, or a mirroring transform where
            the side is predicted.
    """
    augmentation = PolygonAugmentation(read_transforms(specification, PRESETS))
    mirrors = [
        type(transform).__name__ for transform in augmentation.geometric if transform.mirrors and transform.p > 0
    ]
    if side_is_predicted and mirrors:
        raise MedsegError(
            f"{' and '.join(mirrors)} would turn left hands into right ones while the model predicts the side. Take "
            "them out of the augmentation, or switch the prediction of the side off."
        )
    return augmentation
