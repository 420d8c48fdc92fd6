"""The published augmentation of the polyp study, on the PIL library Augmentor.

As published it moves a few pictures, by little, and its brightness and contrast only darken and flatten. The preset
``warp`` is another one and stronger: every picture is turned, sheared, scaled and shifted, and grows lighter as often
as darker.
"""

import random
from dataclasses import KW_ONLY, dataclass
from threading import Lock

import numpy as np
from PIL import Image

from medseg.datasets.augmentation.warp import Resolution, check_same_size, size_of

#: Augmentor draws from the global generators of Python and of NumPy, which threads share.
_DRAWING = Lock()


@dataclass
class AugmentorPipeline:
    """Resize, rotation without crop, shear and a flip of picture and mask; contrast and brightness of the picture.

    Each but the resize happens by chance; the angles are whole degrees; a flip is left-right or up-down, equally
    likely. What rotation brings in from outside is 0 in both arrays; Augmentor crops what shear brings in and resizes
    the rest. Only one thread of a process augments at a time; parallel work belongs into worker processes.

    Args:
        resolution: side of the square, or (height, width), in pixels.
        rotation, shear: greatest angles to either side, degrees; Augmentor adds a degree to most shears.
        brightness, contrast: least and greatest factor; contrast is about the picture's mean grey.
        probability: of each, as published; the chance is that of ``Augmentor.DataPipeline``, which rounds the number
            that it draws to one decimal, so that 0.3 happens in 35 % of the pictures.
    """

    resolution: Resolution
    _: KW_ONLY
    rotation: int = 10
    shear: int = 1
    brightness: tuple[float, float] = (0.2, 1.0)
    contrast: tuple[float, float] = (0.2, 1.0)
    probability: float = 0.3

    def __post_init__(self) -> None:
        self.size = size_of(self.resolution)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """As of :class:`medseg.datasets.augmentation.warp.Warp`; the process's global random state stays as it was."""
        check_same_size(image, mask)
        geometry, tone = self._operations()
        # Augmentor asks for bicubic interpolation, which PIL never applies to the indices of a palette.
        both = [Image.fromarray(image), Image.fromarray(mask).convert("P")]
        seeds = rng.integers(2**32, size=2).tolist()
        with _DRAWING:
            before = random.getstate(), np.random.get_state()  # noqa: NPY002
            try:
                random.seed(seeds[0])
                np.random.seed(seeds[1])  # noqa: NPY002
                picture, indices = _apply(geometry, both)
                (picture,) = _apply(tone, [picture])
            finally:
                random.setstate(before[0])
                np.random.set_state(before[1])  # noqa: NPY002
        return np.array(picture), np.array(indices)

    def _operations(self) -> tuple[list, list]:
        """Augmentor's operations on both pictures, and those on the picture alone."""
        from Augmentor import Pipeline  # only here: nobody else needs it, and it takes a while

        geometry, tone = Pipeline(), Pipeline()
        height, width = self.size
        geometry.resize(probability=1, width=width, height=height)
        geometry.rotate_without_crop(
            self.probability, max_left_rotation=self.rotation, max_right_rotation=self.rotation
        )
        geometry.shear(self.probability, max_shear_left=self.shear, max_shear_right=self.shear)
        geometry.flip_random(self.probability)
        tone.random_contrast(self.probability, *self.contrast)
        tone.random_brightness(self.probability, *self.brightness)
        return geometry.operations, tone.operations


def _apply(operations: list, pictures: list[Image.Image]) -> list[Image.Image]:
    for operation in operations:
        if round(random.random(), 1) <= operation.probability:
            pictures = operation.perform_operation(pictures)
    return pictures
