"""Distances between the outlines of masks, in pixels, or in millimetres where the size of a pixel is known.

The outline of a mask is its boundary pixels: set pixels of which a side neighbour is not set, where all beyond the
picture counts as not set. Distances are Euclidean, from centre to centre of the pixels.

One rule for both measures: where truth and prediction are both empty there is nothing to measure, the value is NaN and
is left out of means. A structure that was missed, or found where there is none, counts with the worst value.
"""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from medseg.masks.box import as_pixels, bounding_box

_SIDES = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def hd95(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    """Robust Hausdorff distance at 95 %, in pixels, or in the unit of ``spacing``: height and width of a pixel.

    The larger of two percentiles: of the distances from each boundary pixel of the prediction to the nearest one of
    the truth, and of those from truth to prediction; percentiles are interpolated linearly. Robust to outliers by
    rank (Huttenlocher, Klanderman and Rucklidge 1993, IEEE TPAMI 15:850), at 95 % of either direction as in Nikolov et
    al. 2018 (arXiv 1809.04430). Tools that take the percentile of both directions together give smaller values.

    Of masks (H, W) of one shape, bool or uint8 with the values 0 and 1. NaN where both are empty, the diagonal of the
    picture where one is: sqrt(H^2 + W^2), each side times its spacing. Raises ValueError: shapes differ, or an array is
    not a binary mask.
    """
    distances = _surface_distances(predicted, truth, spacing)
    if distances is None:
        return float("nan")
    if not all(map(len, distances)):
        return float(np.hypot(*np.multiply(truth.shape, spacing)))
    return float(max(np.percentile(directed, 95) for directed in distances))


def surface_dice(predicted: np.ndarray, truth: np.ndarray, tolerance: float) -> float:
    """Surface Dice at a tolerance: share of both outlines that lies within it of the other outline.

    (|pixels of the prediction's outline within tolerance of the truth's| + the reverse) / (|one| + |other|): the
    surface Dice of Nikolov et al. 2018 (arXiv 1809.04430) with boundary pixels, all of one length, for their
    surface elements.

    In [0, 1]; NaN where both masks are empty, 0 where one is. ``tolerance`` is in pixels, at least 0; a distance equal
    to it is within. Raises ValueError: as :func:`hd95`, or a tolerance that is negative or no number.
    """
    if not tolerance >= 0:
        raise ValueError(f"the tolerance must be a number of at least 0, got {tolerance}")
    distances = _surface_distances(predicted, truth)
    if distances is None:
        return float("nan")
    within = sum(np.count_nonzero(directed <= tolerance) for directed in distances)
    length = sum(map(len, distances))
    return within / length if all(map(len, distances)) else 0.0


def _surface_distances(
    predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray] | None:
    """Distance of each boundary pixel to the other outline, from prediction and from truth.

    None where both masks are empty; where one is, the distances from it are an empty array and the others infinite.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"expected masks of one shape, got {predicted.shape}, {truth.shape}")
    box = bounding_box(as_pixels(predicted) | as_pixels(truth))
    if box is None:
        return None
    outlines = [np.argwhere(_boundary(mask[box])) * spacing for mask in (predicted, truth)]
    if not all(map(len, outlines)):
        return np.full(len(outlines[0]), np.inf), np.full(len(outlines[1]), np.inf)
    # A tree over the outlines, not a distance transform of the box: a stray pixel far away makes the box large, but
    # the outlines hardly longer.
    from_predicted, from_truth = (cKDTree(other).query(outline)[0] for outline, other in (outlines, reversed(outlines)))
    return from_predicted, from_truth


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The boundary pixels of a mask (H, W); beyond its edges nothing is set."""
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    eroded = cv2.erode(pixels, _SIDES, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return pixels != eroded
