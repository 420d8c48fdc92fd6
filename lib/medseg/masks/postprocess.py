"""Plausible shapes: a bone is one piece and has no holes.

Two set pixels belong together when they touch by a side or a corner (8-connectivity), two empty ones only by a side
(4-connectivity), so that an outline which is closed across corners holds what it encloses. All work is done inside the
bounding box of the mask.
"""

import cv2
import numpy as np

from medseg.masks.box import as_pixels, bounding_box

_OUTSIDE = 2


def postprocess(mask: np.ndarray, *, holes: bool = True, largest: bool = True) -> np.ndarray:
    """Fill holes, then keep the largest component, which is thus measured without its holes: a new mask.

    Args:
        mask: (H, W), bool or uint8 with the values 0 and 1; ValueError where it is no such mask.
        holes: whether to set the empty pixels from which no path of empty pixels leads to the border of the picture,
            as :func:`scipy.ndimage.binary_fill_holes` does with its default structure.
        largest: whether to keep the component with the most pixels alone; of equal ones, the one whose first pixel
            comes first row by row.
    """
    pixels, box = as_pixels(mask), bounding_box(mask)
    result = np.zeros(mask.shape, mask.dtype)
    if box is None:
        return result
    inside = np.ascontiguousarray(pixels[box])
    if holes:
        inside = _filled(inside)
    if largest:
        inside = _largest(inside)
    result.view(np.uint8)[box] = inside
    return result


def _filled(pixels: np.ndarray) -> np.ndarray:
    # A frame of zeros joins all that is empty at the edge of the box: it leads out of the box, or is at the border of
    # the picture. One flood from a corner of the frame marks it.
    framed = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), np.uint8)
    framed[1:-1, 1:-1] = pixels
    cv2.floodFill(framed, None, (0, 0), _OUTSIDE, flags=4)
    return (framed[1:-1, 1:-1] != _OUTSIDE).view(np.uint8)


def _largest(pixels: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
    if count == 2:  # the background and one component
        return pixels
    areas = stats[1:, cv2.CC_STAT_AREA]
    tied = np.flatnonzero(areas == areas.max()) + 1
    # OpenCV numbers components in an order of its own.
    keep = tied[0] if tied.size == 1 else labels.flat[int(np.argmax(np.isin(labels, tied)))]
    return (labels == keep).view(np.uint8)
