"""Masks on pictures: their outlines, and the colours that truth, prediction and classes have wherever they are drawn.

Colours are RGB; the named ones are of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

TRUTH, PREDICTED = (0, 158, 115), (213, 94, 0)
#: Of a few classes, by name.
FEW = {"light blue": (86, 180, 233), "green": (0, 158, 115), "orange": (230, 159, 0), "pink": (204, 121, 167)}


def class_colours(count: int) -> np.ndarray:
    """(count, 3) uint8 RGB: those of :data:`FEW` where they suffice, else hues of which neighbours lie far apart."""
    if count <= len(FEW):
        return np.array(list(FEW.values())[:count], np.uint8).reshape(count, 3)
    places = np.arange(count) * 0.381966 % 1  # golden angle
    return np.array([[round(255 * part) for part in colorsys.hsv_to_rgb(place, 1, 1)] for place in places], np.uint8)


def draw(picture: np.ndarray, mask: np.ndarray, colour: Sequence[int], width: int = 2) -> None:
    """Draw the outline of a mask, that of its holes too, into a picture; ``width`` is that of the line, pixels.

    The picture, (H, W, 3) uint8 in whatever order of colours, is changed; a part of a larger array will do. The mask is
    (H, W) bool or uint8, true where not 0; the colour three values of 0 to 255 in the picture's order.
    """
    mask = mask.view(np.uint8) if mask.dtype == bool else mask
    left, top, across, down = cv2.boundingRect(mask)  # a contour is sought where there is one: frames are large
    part = mask[top : top + down, left : left + across]
    contours, _ = cv2.findContours(part, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, tuple(map(int, colour)), width, cv2.LINE_AA, offset=(left, top))


def tint(picture: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """A picture half covered by every mask in the colour of its class, where classes overlap in the mean of theirs.

    From a picture (H, W) or (H, W, 3) uint8, RGB, and masks (C, H, W), true where not 0, to (H, W, 3) uint8 RGB.
    """
    total, count = np.zeros((*picture.shape[:2], 3), np.float32), np.zeros(picture.shape[:2], np.float32)
    for mask, colour in zip(masks.astype(bool), class_colours(len(masks)).astype(np.float32), strict=True):
        total[mask] += colour
        count[mask] += 1
    drawn = (picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)).astype(np.float32)
    covered = count > 0
    drawn[covered] = (drawn[covered] + total[covered] / count[covered, None]) / 2
    return drawn.round().astype(np.uint8)
