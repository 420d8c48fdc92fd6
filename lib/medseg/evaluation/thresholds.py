"""A threshold for each class, fitted on validation cases.

A pixel is positive when its probability is above the threshold. Of the thresholds 0.05, 0.06 ... 0.95 the one with the
best mean Dice over the cases is taken; of equal ones that nearest to 0.5, then the lower. The mean is that of
:func:`medseg.metrics.overlap.summarise`: a case with empty truth and empty prediction is left out, one with empty
truth and a prediction counts 0. A class that no validation case shows keeps 0.5.
"""

import numpy as np
import pandas as pd

from medseg.errors import MedsegError
from medseg.metrics import overlap

GRID = np.arange(5, 96) / 100
"""float64 (91,), the thresholds tried; 0.5 is among them exactly."""

_HALF = 45
_DECIMALS = 12  # means that agree so far are equal: their sums differ by rounding alone


class ThresholdFit:
    """Collects integer counts at every threshold, 2 kB for each case and class, and keeps no picture."""

    def __init__(self, num_classes: int) -> None:
        self._counts: list[list[np.ndarray]] = [[] for _ in range(num_classes)]

    def add(self, class_index: int, probability: np.ndarray, truth: np.ndarray, *, split: str = "validation") -> None:
        """Count one class of one case of ``split``: ``probability`` (H, W) floating in [0, 1], ``truth`` bool or uint8.

        The thresholds are rounded to the dtype of the probability, as numpy does where an array is compared with a
        number. The truth has the same shape and the values 0 and 1.

        Raises:
            MedsegError: the case is not of the validation split, or a probability is not in [0, 1], NaN among them.
            ValueError: shapes or dtypes are not as expected, or there is no such class.
        """
        if split != "validation":
            raise MedsegError(
                f"Thresholds are fitted on validation cases alone, got a case of the split {split!r}. On other cases "
                "they would flatter the scores or follow the training data."
            )
        if not 0 <= class_index < len(self._counts):
            raise ValueError(f"expected a class below {len(self._counts)}, got {class_index}")
        if probability.ndim != 2 or probability.shape != truth.shape:
            raise ValueError(f"expected two arrays (H, W) of one shape, got {probability.shape} and {truth.shape}")
        if not np.issubdtype(probability.dtype, np.floating) or truth.dtype not in (bool, np.uint8):
            raise ValueError(f"expected floating and bool or uint8, got {probability.dtype} and {truth.dtype}")
        if probability.size and not (probability.min() >= 0 and probability.max() <= 1):  # so written, it catches NaN
            raise MedsegError(
                f"A probability is {probability.min():g} to {probability.max():g}, expected numbers in [0, 1]. Give "
                "probabilities, not logits; where they are no numbers, the training diverged."
            )
        self._counts[class_index].append(_counts_at(probability, truth))

    def fit(self) -> list[float]:
        """The best threshold of each class over all cases that were added, in [0.05, 0.95]."""
        return list(map(_best, self._counts))


def _counts_at(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """int64 (3, 91): true positives, false positives and, always the same, true pixels at each threshold."""
    grid = GRID.astype(probability.dtype)
    positive = probability > grid[0]  # few of all pixels are, and the others are negative at every threshold
    values, true = probability[positive], truth[positive].astype(bool)
    # The number of thresholds that lie below a value; it is positive at just these.
    above = np.searchsorted(grid, values, side="left")
    counts = np.empty((3, len(grid)), np.int64)
    for row, chosen in enumerate((true, ~true)):
        histogram = np.bincount(above[chosen], minlength=len(grid) + 1)
        counts[row] = histogram[:0:-1].cumsum()[::-1]
    counts[2] = np.count_nonzero(truth)
    return counts


def _best(cases: list[np.ndarray]) -> float:
    tp, fp, present = np.stack(cases, axis=1) if cases else np.zeros((3, 1, len(GRID)), np.int64)
    if not present.any():
        return 0.5
    means = pd.DataFrame(overlap.dice(tp, fp, present - tp)).mean().round(_DECIMALS).to_numpy()
    best = np.flatnonzero(means == np.nanmax(means))
    return float(GRID[best[np.argmin(np.abs(best - _HALF))]])
