"""Objects instead of pixels: which lesions were found, and what was marked where there is none.

An object is a component of a mask whose pixels touch by side or corner. A true object is *found* when the centroid of
a predicted object lies in it; a predicted object whose centroid lies in no true object is a *false positive*; several
predictions in one true object find it once. This is the rule of the MICCAI 2015 polyp detection challenge (Bernal et
al. 2017, IEEE Trans. Med. Imaging 36:1231). It asks for the place alone, so the best intersection over union that any
predicted object has with a true one stands beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from medseg.masks.box import as_pixels, bounding_box

RULE = (
    "an object is found when the centroid of a predicted one lies in it, and a predicted one whose centroid lies in no "
    "true object is a false positive (Bernal et al. 2017, IEEE Trans. Med. Imaging 36:1231)"
)


class Objects(NamedTuple):
    """The objects of one class in one picture."""

    pixels: np.ndarray  # (T,) int64, of each true object
    found: np.ndarray  # (T,) bool
    iou: np.ndarray  # (T,) float64 in [0, 1], the highest with any predicted object
    false_positives: np.ndarray  # (F,) int64, pixels of each


def match(predicted: np.ndarray, truth: np.ndarray) -> Objects:
    """Match the objects of two masks (H, W), bool or uint8 with the values 0 and 1; true ones from top to bottom.

    Raises ValueError: shapes differ, or an array is not a binary mask.
    """
    predicted, truth = as_pixels(predicted), as_pixels(truth)
    if predicted.shape != truth.shape:
        raise ValueError(f"expected two masks of one shape, got {predicted.shape} and {truth.shape}")
    box = bounding_box(predicted | truth)
    if box is None:
        return Objects(*(np.zeros(0, dtype) for dtype in (np.int64, bool, float, np.int64)))
    areas, labels, _ = _components(truth[box])
    other_areas, other_labels, centroids = _components(predicted[box])
    both = (labels > 0) & (other_labels > 0)
    shared = np.zeros((len(areas), len(other_areas)), np.int64)
    np.add.at(shared, (labels[both] - 1, other_labels[both] - 1), 1)
    union = areas[:, None] + other_areas[None] - shared
    # The pixel that holds the centroid: centres of pixels have whole coordinates.
    columns, rows = np.floor(centroids + 0.5).astype(int).T
    hit = labels[rows, columns]
    return Objects(
        areas,
        np.isin(np.arange(1, len(areas) + 1), hit),
        (shared / union).max(axis=1, initial=0),
        other_areas[hit == 0],
    )


def summarise(objects: pd.DataFrame, cases: pd.DataFrame, limits: Sequence[float] = ()) -> pd.DataFrame:
    """What was found and invented on each test set.

    Args:
        objects: test_set, case_id, class, kind (``truth`` or ``false_positive``), pixels, found (1, 0) and iou, one row
            per true object and false positive; see ``objects.csv``.
        cases: of the same test sets, as ``cases.csv``: every picture is there.
        limits: ascending shares of the picture, 0 to 1, up to which sizes go; () for no sizes.

    Returns:
        By test set: objects and found (numbers), sensitivity (share found), overlapping (share with an IoU of at least
        0.5), sensitivity_0 and so on (share found of each size), frames, false_positives (per frame), empty_frames
        (without any true object), empty_marked and empty_alarms (number and share of these with a false positive) and
        empty_false_positives (per such frame); NaN where there is nothing to divide by.
    """
    codes, names = pd.factorize(_named(cases))
    first = np.unique(codes, return_index=True)[1]
    size = cases[["tp", "fp", "fn", "tn"]].to_numpy().sum(axis=1)[first]
    at = pd.Index(names).get_indexer(_named(objects))
    objects, at = objects[at >= 0], at[at >= 0]
    is_true, is_false = ((objects["kind"] == kind).to_numpy() for kind in ("truth", "false_positive"))
    truth = np.bincount(codes, cases["tp"] + cases["fn"], len(names))
    false = np.bincount(at[is_false], minlength=len(names))
    set_of_frame, test_sets = pd.factorize(cases["test_set"].iloc[first])
    true, places = objects[is_true], at[is_true]
    found, overlapping = true["found"].to_numpy(float), true["iou"].to_numpy() >= 0.5
    sizes = np.searchsorted(np.asarray(limits, float), true["pixels"].to_numpy() / size[places])
    rows = {}
    for number, test_set in enumerate(test_sets):
        part, own = set_of_frame[places] == number, set_of_frame == number
        empty = own & (truth == 0)
        rows[test_set] = {
            "objects": int(part.sum()),
            "found": int(found[part].sum()),
            "sensitivity": _mean(found[part]),
            "overlapping": _mean(overlapping[part]),
            **{f"sensitivity_{n}": _mean(found[part & (sizes == n)]) for n in range(len(limits) + 1) if len(limits)},
            "frames": int(own.sum()),
            "false_positives": _mean(false[own]),
            "empty_frames": int(empty.sum()),
            "empty_marked": int((false[empty] > 0).sum()),
            "empty_alarms": _mean(false[empty] > 0),
            "empty_false_positives": _mean(false[empty]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _named(table: pd.DataFrame) -> pd.Series:
    """Test set and case of every row in one text, which is looked up much faster than two."""
    return table["test_set"].astype(str) + "\n" + table["case_id"].astype(str)


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas (N,) int64, labels (H, W) from 1, and centroids (N, 2), column before row."""
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask), connectivity=8)
    return stats[1:, cv2.CC_STAT_AREA].astype(np.int64), labels, centroids[1:]
