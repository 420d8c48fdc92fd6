"""Training augmentation and plain resizing of a picture with its mask, and pictures fitted into a square.

One affine warp does rotation, shear, scale, flips, shift and the resize together, so that a picture is interpolated
once; one look-up table does brightness and contrast. Positions follow pixel centres: the centre of pixel i lies at
i + 1/2, so that picture and mask keep in register whatever the two sizes.
"""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np

Resolution = int | tuple[int, int]
Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]

_GREY_VALUES = np.arange(256.0)


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers for one item in one epoch, independent of workers and of the order of loading."""
    return np.random.default_rng((seed, epoch, index))


def resize_image(image: np.ndarray, resolution: Resolution) -> np.ndarray:
    """Picture uint8 (H, W) or (H, W, 3) averaged over areas where it shrinks, interpolated linearly otherwise.

    The aspect ratio is not kept; ``resolution`` is the side of the square, or (height, width), in pixels.
    """
    height, width = size_of(resolution)
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def plain_resize(image: np.ndarray, mask: np.ndarray, resolution: Resolution) -> tuple[np.ndarray, np.ndarray]:
    """Resize without augmentation, for validation: :func:`resize_image`, and the mask with it.

    The mask, uint8 (H, W), takes the nearest pixel centre, so that no new value appears. Raises ValueError: picture and
    mask differ in size, or the resolution is not positive.
    """
    check_same_size(image, mask)
    height, width = size_of(resolution)
    # INTER_NEAREST takes the upper left corner of the pixel instead of its centre: half a pixel off the picture.
    resized_mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resize_image(image, resolution), resized_mask


class Resize:
    """:func:`plain_resize` in the form of an augmentation."""

    def __init__(self, resolution: Resolution) -> None:
        self.size = size_of(resolution)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return plain_resize(image, mask, self.size)

    def shrunk(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pair as every call gives it."""
        return plain_resize(image, mask, self.size)


@dataclass
class Warp:
    """A random affine warp to the training resolution, with random brightness and contrast of the picture.

    Every quantity is drawn uniformly and independently. What comes from outside the picture is 0 in both arrays.

    Args:
        resolution: side of the square, or (height, width), in pixels.
        rotation, shear: greatest angles to either side, degrees.
        scale: smallest and greatest magnification.
        shift: greatest displacement along each axis, as a fraction of the picture's size.
        flip: mirror left-right and up-down, each with probability 1/2.
        brightness, contrast: factors within 1 +- this; contrast is about mid-grey.
    """

    resolution: Resolution
    _: KW_ONLY
    rotation: float = 25
    shear: float = 10
    scale: tuple[float, float] = (0.8, 1.25)
    shift: float = 0.05
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2

    def __post_init__(self) -> None:
        self.size = size_of(self.resolution)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Warp one picture uint8 (H, W, 3) and its mask uint8 (H, W); ``rng`` as of :func:`generator`.

        Gives the picture uint8 (height, width, 3) and the mask uint8 (height, width), whose values all come from
        ``mask`` or are 0. What :meth:`shrunk` made of a pair gives the same pixels.
        """
        source, factor = mask.shape, self._factor(mask.shape)
        if image.shape[:2] != (source[0] // factor, source[1] // factor):
            image, mask = self.shrunk(image, mask)
        matrix = _resize_matrix(source, self.size) @ self._distortion(source, rng)
        table = self._tone_table(rng)
        image, mask = moved(image, mask, matrix, self.size, factor)
        return cv2.LUT(image, table, dst=image), mask

    def shrunk(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What every call begins with, to be kept in memory: the picture averaged down, and the mask as it is."""
        check_same_size(image, mask)
        return averaged_down(image, self._factor(mask.shape)), mask

    def _factor(self, source: tuple[int, ...]) -> int:
        return max(1, min(source[0] // self.size[0], source[1] // self.size[1]))

    def _distortion(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """3 x 3 matrix about the centre of a picture of ``size`` (height, width), from pixels to pixels (x, y, 1)."""
        height, width = size
        # In plain numbers: arrays of two or three would cost a tenth of the whole warp.
        turn, slant, zoom, *shift, flip_x, flip_y = rng.random(7).tolist()
        angle = math.radians(self.rotation * (2 * turn - 1))
        shear = math.tan(math.radians(self.shear * (2 * slant - 1)))
        zoom = self.scale[0] + (self.scale[1] - self.scale[0]) * zoom
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        mirror_x, mirror_y = (-1 if self.flip and chance < 0.5 else 1 for chance in (flip_x, flip_y))
        x_by_x, x_by_y = cos * mirror_x, (cos * shear - sin) * mirror_y
        y_by_x, y_by_y = sin * mirror_x, (sin * shear + cos) * mirror_y
        x, y = (width - 1) / 2, (height - 1) / 2
        shift_x, shift_y = self.shift * width * (2 * shift[0] - 1), self.shift * height * (2 * shift[1] - 1)
        return np.array(
            [
                [x_by_x, x_by_y, x - x_by_x * x - x_by_y * y + shift_x],
                [y_by_x, y_by_y, y - y_by_x * x - y_by_y * y + shift_y],
                [0, 0, 1],
            ]
        )

    def _tone_table(self, rng: np.random.Generator) -> np.ndarray:
        """uint8 (256,): the new value of each grey value."""
        brightness, contrast = rng.random(2).tolist()
        brightness, contrast = 1 + self.brightness * (2 * brightness - 1), 1 + self.contrast * (2 * contrast - 1)
        values = _GREY_VALUES * (brightness * contrast) + 127.5 * (1 - contrast)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def moved(
    image: np.ndarray, mask: np.ndarray, matrix: np.ndarray, size: tuple[int, int], factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Move a picture uint8 (h, w, 3) and its mask uint8 (H, W) by one map, into new arrays; 0 comes from outside.

    ``matrix`` (3, 3) leads from pixels (x, y, 1) of the mask to pixels of the result, of ``size`` (height, width). The
    picture was :func:`averaged_down` by ``factor``, a whole number, as large as the map shrinks.
    """
    height, width = size
    shrunk = image.shape[:2]
    to_source = _resize_matrix(shrunk, (shrunk[0] * factor, shrunk[1] * factor))
    # The warp reads along slanted lines, mostly from slow memory. A pass in order (the maximum itself is of no use)
    # brings picture and mask into the cache as fast as they stream, and saves a third of the whole time.
    for array in (image, mask):
        array.max()
    image = cv2.warpAffine(image, (matrix @ to_source)[:2], (width, height), flags=cv2.INTER_LINEAR)
    return image, cv2.warpAffine(mask, matrix[:2], (width, height), flags=cv2.INTER_NEAREST)


def averaged_down(image: np.ndarray, factor: int) -> np.ndarray:
    """A picture uint8 (H, W, 3) as (H // factor, W // factor, 3); ``factor`` 1: the picture itself.

    Linear interpolation reads 2 x 2 pixels: a picture at least twice too large is averaged down before it is warped, by
    a whole number because OpenCV is several times faster at that; a remainder of less than that at the far edges is
    lost.
    """
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return cv2.resize(image[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)


def fit_matrix(size: tuple[int, int], resolution: int) -> np.ndarray:
    """Where :func:`fit_picture` puts the points of a picture of ``size`` (width, height), pixels.

    float64 (2, 3), from continuous points (x, y, 1) of the picture to those of the square. The two scales differ by
    less than a pixel over the whole picture, because the fitted picture has a whole number of pixels.
    """
    width, height = fitted_size(size, resolution)
    return np.array([[width / size[0], 0.0, 0.0], [0.0, height / size[1], 0.0]])


def fit_picture(picture: np.ndarray, resolution: int) -> np.ndarray:
    """Picture uint8 (H, W) fitted into a square of side ``resolution``, uint8, for caches, polygons and inference.

    It keeps its aspect ratio and lies in the upper left corner; what remains at the right or the bottom is black.
    """
    width, height = fitted_size(picture.shape[::-1], resolution)
    fitted = resize_image(picture, (height, width))
    return np.pad(fitted, ((0, resolution - height), (0, resolution - width)))


def fitted_size(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """(width, height) of :func:`fit_picture` without its black rest, of a picture of ``size`` (width, height)."""
    longest = max(size)
    return max(1, round(size[0] * resolution / longest)), max(1, round(size[1] * resolution / longest))


def size_of(resolution: Resolution) -> tuple[int, int]:
    """(height, width) of a resolution; ValueError where it is not positive."""
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if height < 1 or width < 1:
        raise ValueError(f"the resolution must be positive, got {resolution}")
    return height, width


def check_same_size(image: np.ndarray, mask: np.ndarray) -> None:
    """Raise ValueError where a picture and its mask differ in height or width."""
    if image.shape[:2] != mask.shape:
        raise ValueError(f"picture {image.shape} and mask {mask.shape} differ in size")


def _resize_matrix(before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray:
    """3 x 3 matrix from pixel (x, y, 1) of a picture of size ``before`` (height, width) to that of size ``after``."""
    scale_y, scale_x = after[0] / before[0], after[1] / before[1]
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
