"""Counts of true and false pixels, from which every overlap measure derives."""

from typing import NamedTuple

import numpy as np


class Counts(NamedTuple):
    """Pixels of one class in one picture: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion_counts(prediction: np.ndarray, truth: np.ndarray) -> Counts:
    """Count the pixels of one class at the resolution of the arrays.

    Args:
        prediction: (H, W), bool or uint8 with the values 0 and 1.
        truth: the same shape, bool or uint8 with the values 0 and 1.

    Raises:
        ValueError: shapes differ or are not two-dimensional, or an array is not a binary mask.
    """
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(f"expected two masks (H, W) of one shape, got {prediction.shape} and {truth.shape}")
    predicted, true = _as_bool(prediction, "prediction"), _as_bool(truth, "truth")
    tp = np.count_nonzero(predicted & true)
    fp = np.count_nonzero(predicted) - tp
    fn = np.count_nonzero(true) - tp
    return Counts(int(tp), int(fp), int(fn), int(truth.size - tp - fp - fn))


def _as_bool(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.dtype == bool:
        return mask
    if mask.dtype != np.uint8:
        raise ValueError(f"{name} must be bool or uint8, got {mask.dtype}; threshold it first")
    # 0/255 masks would count right and 0/2 masks wrong, so neither is let through.
    if mask.size and mask.max() > 1:
        raise ValueError(f"{name} must hold 0 and 1 only, got values up to {mask.max()}")
    return mask.view(bool)
