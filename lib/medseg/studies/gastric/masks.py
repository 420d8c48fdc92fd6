"""From the shapes of a lesion to its pixels."""

import cv2
import numpy as np

from medseg.datasets.cvat import PixelMask
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, draw_class
from medseg.studies.gastric.labels import Lesion

_ROI_MARGIN = np.ones((15, 15), np.uint8)


def draw(lesion: Lesion, size: tuple[int, int]) -> np.ndarray:
    """The lesion's class map.

    Args:
        lesion: its shapes, in pixels of the picture.
        size: width and height of the picture.

    Returns:
        uint8 (height, width): the phase where the lesion is, else 0.

    Raises:
        BadFile: a shape covers no pixel of the picture.
    """
    classes = np.zeros(size[::-1], np.uint8)
    for number, shape in enumerate(lesion.shapes, 1):
        if isinstance(shape, PixelMask):
            inside = _placed(shape, size)
        else:
            inside = draw_class(PolygonSet.of([(0, shape)], size), 0) > 0
        if not inside.any():
            if not isinstance(shape, PixelMask) and _is_outside(shape, size):
                raise BadFile(f"polygon {number} lies outside the picture of {size[0]} x {size[1]} pixels")
            raise BadFile(f"shape {number} covers no pixel of the picture")
        classes[inside] = lesion.phase
    return classes


def dilated(mask: np.ndarray) -> np.ndarray:
    """Region of interest, uint8 (H, W) of 0 and 1: the lesion and 7 pixels round it (a square of 15 x 15)."""
    return cv2.dilate((mask > 0).astype(np.uint8), _ROI_MARGIN)


def _placed(shape: PixelMask, size: tuple[int, int]) -> np.ndarray:
    inside = np.zeros(size[::-1], bool)
    height, width = shape.pixels.shape
    left, top = max(shape.left, 0), max(shape.top, 0)  # a shifted mask may reach beyond the picture
    target = inside[top : max(shape.top + height, 0), left : max(shape.left + width, 0)]
    if target.size:
        from_row, from_column = top - shape.top, left - shape.left
        rows, columns = target.shape
        target[:] = shape.pixels[from_row : from_row + rows, from_column : from_column + columns] != 0
    return inside


def _is_outside(points: np.ndarray, size: tuple[int, int]) -> bool:
    low, high = points.min(axis=0), points.max(axis=0)
    return bool((high <= 0).any() or (low >= size).any())
