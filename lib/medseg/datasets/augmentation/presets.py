"""The augmentations of a picture with its mask: presets by name, or transforms as an expression."""

from collections.abc import Callable

import numpy as np

from medseg.datasets.augmentation.augmentor import AugmentorPipeline
from medseg.datasets.augmentation.transforms import Transforms, read_transforms
from medseg.datasets.augmentation.warp import Augmentation, Resize, Resolution, Warp, check_same_size, moved, size_of

PRESETS: dict[str, Callable[[Resolution], Augmentation]] = {
    "none": Resize, "warp": Warp, "augmentor": AugmentorPipeline,
}  # fmt: skip
"""Augmentations by the name that a notebook's parameter gives."""

_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # from pixels to continuous points
_PIXEL = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])


class TransformedPair(Transforms):
    """Transforms of a picture and its mask; the frame they end in is resized, and its aspect ratio is not kept."""

    def __init__(self, specification: str, resolution: Resolution) -> None:
        super().__init__(read_transforms(specification, dict.fromkeys(PRESETS, "")))
        self.size = size_of(resolution)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`medseg.datasets.augmentation.warp.Warp.__call__`."""
        check_same_size(image, mask)
        height, width = self.size
        matrix, frame = self.draw(rng, mask.shape[::-1], max(self.size))
        matrix = _PIXEL @ np.diag([width / frame[0], height / frame[1], 1]) @ matrix @ _CENTRE
        zoom = np.linalg.norm(matrix[:2, :2], ord=2)  # the greatest magnification in any direction
        image, mask = moved(image, mask, matrix, self.size, max(1, int(1 / zoom + 1e-6)))
        return self.tone(image, rng), mask


def build_augmentation(specification: str, resolution: Resolution) -> Augmentation:
    """The augmentation of that name, or of those transforms, to the given resolution.

    Args:
        specification: a name of :data:`PRESETS`, or transforms; see :mod:`medseg.datasets.augmentation.transforms`.
        resolution: side of the square, or (height, width), in pixels.

    Raises:
        MedsegError: there is none of that name; the message lists them. Or the transforms are written wrongly.
    """
    preset = PRESETS.get(specification.strip() or "none")
    return preset(resolution) if preset else TransformedPair(specification, resolution)
