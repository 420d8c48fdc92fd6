"""Outlines of masks on pictures, and the colours that truth and prediction have wherever both are drawn."""

from collections.abc import Sequence

import cv2
import numpy as np

#: RGB, two of the colours of Okabe and Ito (2008), which colour-blind readers tell apart: green and orange.
TRUTH, PREDICTED = (0, 158, 115), (213, 94, 0)


def draw(picture: np.ndarray, mask: np.ndarray, colour: Sequence[int], width: int = 2) -> None:
    """Draw the outline of a mask, that of its holes too, into a picture.

    Args:
        picture: (H, W, 3) uint8, in whatever order of colours; it is changed. A part of a larger array will do.
        mask: (H, W) bool or uint8, true where not 0.
        colour: three values of 0 to 255 in the picture's order.
        width: of the line, pixels.
    """
    mask = mask.view(np.uint8) if mask.dtype == bool else mask
    left, top, across, down = cv2.boundingRect(mask)  # a contour is sought where there is one: frames are large
    part = mask[top : top + down, left : left + across]
    contours, _ = cv2.findContours(part, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, tuple(map(int, colour)), width, cv2.LINE_AA, offset=(left, top))
