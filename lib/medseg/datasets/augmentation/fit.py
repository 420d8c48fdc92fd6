"""A picture fitted into a square, for cached pictures, for polygons and for inference.

It keeps its aspect ratio and lies in the upper left corner; what remains at the right or at the bottom is black.
"""

import cv2
import numpy as np


def fit_matrix(size: tuple[int, int], resolution: int) -> np.ndarray:
    """Where :func:`fit_picture` puts the points of a picture.

    Args:
        size: (width, height) of the picture, in pixels.
        resolution: side of the square, in pixels.

    Returns:
        float64 (2, 3), from continuous points (x, y, 1) of the picture to those of the square. The two scales differ by
        less than a pixel over the whole picture, because the fitted picture has a whole number of pixels.
    """
    width, height = _fitted_size(size, resolution)
    return np.array([[width / size[0], 0.0, 0.0], [0.0, height / size[1], 0.0]])


def fit_picture(picture: np.ndarray, resolution: int) -> np.ndarray:
    """Fit a picture into a square: averaged over areas where it shrinks, interpolated linearly where it grows.

    Args:
        picture: uint8 (H, W).
        resolution: side of the square, in pixels.

    Returns:
        uint8 (resolution, resolution); black at the right or at the bottom of a picture that is no square.
    """
    width, height = _fitted_size(picture.shape[::-1], resolution)
    fitted = resized(picture, (width, height))
    if fitted.shape == (resolution, resolution):
        return fitted
    square = np.zeros((resolution, resolution), np.uint8)
    square[:height, :width] = fitted
    return square


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture at another size (width, height): averaged over areas where it shrinks, else interpolated linearly.

    Args:
        picture: uint8 (H, W) or (H, W, 3); the aspect ratio is not kept.
        size: in pixels.
    """
    shrinks = size[1] <= picture.shape[0] and size[0] <= picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _fitted_size(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """(width, height) of a picture after fitting its longer side."""
    longest = max(size)
    return max(1, round(size[0] * resolution / longest)), max(1, round(size[1] * resolution / longest))
