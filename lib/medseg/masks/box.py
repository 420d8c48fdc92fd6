"""Where the ones of a binary mask lie: structures are small, and most work on masks need not look at the rest."""

import cv2
import numpy as np


def as_pixels(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) of bool or uint8, seen as uint8; nothing is copied. Raises ValueError: another shape or dtype."""
    if mask.ndim != 2 or mask.dtype not in (bool, np.uint8):
        raise ValueError(f"expected a mask (H, W) of bool or uint8, got {mask.shape} of {mask.dtype}")
    return mask.view(np.uint8)


def bounding_box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box around the ones of a mask (H, W), bool or uint8 with the values 0 and 1.

    Slices with both ends, or None where no pixel is set. Raises ValueError: not a mask, or values above 1.
    """
    pixels = as_pixels(mask)
    if pixels.size == 0:
        return None
    # The maximum of each row is fastest in OpenCV, that of each column in numpy.
    rows = np.flatnonzero(cv2.reduce(pixels, 1, cv2.REDUCE_MAX))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    highest = pixels[top:bottom].max(axis=0)
    if highest.max() > 1:
        raise ValueError(f"expected a mask of 0 and 1, got values up to {highest.max()}")
    columns = np.flatnonzero(highest)
    return slice(top, bottom), slice(int(columns[0]), int(columns[-1]) + 1)
