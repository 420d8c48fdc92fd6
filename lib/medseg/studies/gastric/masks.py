"""From the shapes of a lesion to its pixels."""

import cv2
import numpy as np

from medseg.datasets.cvat import PixelMask
from medseg.studies.gastric.labels import BadLabel, Lesion

_EDGES_AT_ONCE = 2048  # bounds the memory of a polygon with very many points
_ROI_MARGIN = np.ones((15, 15), np.uint8)


def draw(lesion: Lesion, size: tuple[int, int]) -> np.ndarray:
    """The lesion's class map.

    Args:
        lesion: its shapes, in pixels of the picture.
        size: width and height of the picture.

    Returns:
        uint8 (height, width): the phase where the lesion is, else 0.

    Raises:
        BadLabel: a shape covers no pixel of the picture.
    """
    classes = np.zeros(size[::-1], np.uint8)
    for number, shape in enumerate(lesion.shapes, 1):
        inside = _placed(shape, size) if isinstance(shape, PixelMask) else polygon_pixels(shape, size)
        if not inside.any():
            if not isinstance(shape, PixelMask) and _is_outside(shape, size):
                raise BadLabel(f"polygon {number} lies outside the picture of {size[0]} x {size[1]} pixels")
            raise BadLabel(f"shape {number} covers no pixel of the picture")
        classes[inside] = lesion.phase
    return classes


def polygon_pixels(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre (column + 0.5, row + 0.5) is inside a polygon, by the even-odd rule.

    Args:
        points: float64 (N, 2), x and y; may reach beyond the picture.
        size: width and height of the picture.

    Returns:
        bool (height, width).
    """
    width, height = size
    inside = np.zeros((height, width), bool)
    top = max(int(np.ceil(points[:, 1].min() - 0.5)), 0)
    bottom = min(int(np.ceil(points[:, 1].max() - 0.5)), height)
    if top >= bottom:
        return inside
    # Every edge that crosses a row's centre line toggles all pixels to the right of the crossing.
    toggles = np.zeros((bottom - top, width + 1), np.uint8)
    centres = np.arange(top, bottom) + 0.5
    starts, ends = points, np.roll(points, -1, axis=0)
    for first in range(0, len(points), _EDGES_AT_ONCE):
        (x0, y0), (x1, y1) = starts[first : first + _EDGES_AT_ONCE].T, ends[first : first + _EDGES_AT_ONCE].T
        edge, row = np.nonzero((y0[:, None] <= centres) != (y1[:, None] <= centres))
        crossing = x0[edge] + (centres[row] - y0[edge]) / (y1[edge] - y0[edge]) * (x1[edge] - x0[edge])
        column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
        np.bitwise_xor.at(toggles, (row, column), 1)
    inside[top:bottom] = np.bitwise_xor.accumulate(toggles, axis=1)[:, :width]
    return inside


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
