"""Whether probabilities mean what they say: pixels counted by probability and truth while cases are scored.

Nothing but counts and sums of :data:`BINS` bins is kept, however many pixels there are. From them follow

- the expected calibration error (ECE): mean over bins, weighted by their pixels, of the distance between mean
  probability and share of true pixels (Naeini et al. 2015, AAAI 29:2901; Guo et al. 2017, ICML 70:1321), here of the
  probability of the foreground, over bins of equal width;
- the Brier score: mean squared distance between probability and truth (Brier 1950, Mon. Weather Rev. 78:1);
- Dice as a function of the threshold, mean over the cases that show the class.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

BINS = 256
RELIABILITY_BINS = 16  # of the ECE and of a diagram
_ROUNDING = 1e-3  # beyond 0 and 1 that sums of probabilities in half precision may reach
COLUMNS = ("low", "pixels", "foreground", "probability", "squared_error", "dice", "cases")


class BinnedCounts:
    """Sums over the pixels of cases, by their probability; fed case by case."""

    def __init__(self) -> None:
        self._sums = np.zeros((4, BINS))
        self._dice = np.zeros(BINS)
        self._cases = 0

    def add(self, probability: np.ndarray, truth: np.ndarray) -> None:
        """Take in one class of one picture: probability (H, W) floating in [0, 1], truth (H, W) of {0, 1}.

        Raises ValueError: shapes differ, or a value is outside [0, 1].
        """
        if probability.shape != truth.shape:
            raise ValueError(f"expected a probability and a mask of one shape, got {probability.shape}, {truth.shape}")
        values, true = probability.ravel(), truth.astype(bool, copy=False).ravel()
        values = values.astype(np.float32) if values.dtype == np.float16 else values  # sums would overflow
        low, high = (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)
        if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
            raise ValueError("expected probabilities from 0 to 1")
        values = values if low >= 0 and high <= 1 else np.clip(values, 0, 1)
        # Most of a picture is surely background, the lowest bin: only what is not is sorted into bins.
        sure = values < 1 / BINS
        rest, rest_true = values[~sure].astype(np.float64), true[~sure]
        places = np.minimum((rest * BINS).astype(np.int64), BINS - 1)
        pixels, foreground, total, squared = (
            np.bincount(places, weights, BINS).astype(float)
            for weights in (None, rest_true, rest, np.square(rest - rest_true))
        )
        lowest, low_true = values * sure, true & sure
        n_true = np.count_nonzero(low_true)
        pixels[0], foreground[0], total[0] = values.size - rest.size, n_true, lowest.sum(dtype=np.float64)
        # (p - 1)^2 = p^2 - 2 p + 1 for what is true in the lowest bin.
        squared[0] = float(np.dot(lowest, lowest)) - 2 * values[low_true].sum(dtype=np.float64) + n_true
        self._sums += [pixels, foreground, total, squared]
        if true.any():
            above, hits = pixels[::-1].cumsum()[::-1], foreground[::-1].cumsum()[::-1]
            self._dice += 2 * hits / (above + np.count_nonzero(true))
            self._cases += 1

    def table(self) -> pd.DataFrame:
        """One row per bin: low (its lower end), pixels, foreground (of them true), the sums of probability and of
        squared_error, dice (mean over the cases that show the class, of pixels of this bin and above; NaN: none) and
        the number of these cases.
        """
        dice = self._dice / self._cases if self._cases else np.full(BINS, np.nan)
        return pd.DataFrame(
            dict(zip(COLUMNS, [np.arange(BINS) / BINS, *self._sums, dice, self._cases], strict=True))
        ).astype({"pixels": np.int64, "foreground": np.int64})


def added(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of all cases of several, such as those of folds."""
    if len(tables) == 1:
        return tables[0]
    sums = sum(table[list(COLUMNS[1:5])].to_numpy() for table in tables)
    cases = sum(table["cases"].to_numpy() for table in tables)
    dice = sum((table["dice"].fillna(0) * table["cases"]).to_numpy() for table in tables)
    dice = np.divide(dice, cases, out=np.full(len(dice), np.nan), where=cases > 0)
    return tables[0][["low"]].assign(**dict(zip(COLUMNS[1:5], sums.T, strict=True)), dice=dice, cases=cases)


def brier(table: pd.DataFrame) -> float:
    """Brier score in [0, 1] of a table of :meth:`BinnedCounts.table`; lower is better."""
    return float(table["squared_error"].sum() / table["pixels"].sum())


def reliability(table: pd.DataFrame, bins: int = RELIABILITY_BINS) -> pd.DataFrame:
    """For each of ``bins`` (a divisor of :data:`BINS`) of equal width that holds pixels: pixels, probability (mean) and
    observed (share of true pixels).
    """
    pixels, foreground, probability = (
        table[name].to_numpy().reshape(bins, -1).sum(axis=1) for name in ("pixels", "foreground", "probability")
    )
    shares = {"probability": probability / np.maximum(pixels, 1), "observed": foreground / np.maximum(pixels, 1)}
    return pd.DataFrame({"pixels": pixels, **shares})[pixels > 0]


def ece(table: pd.DataFrame, bins: int = RELIABILITY_BINS) -> float:
    """Expected calibration error in [0, 1] of a table of :meth:`BinnedCounts.table`; lower is better."""
    found = reliability(table, bins)
    return float(np.average((found["probability"] - found["observed"]).abs(), weights=found["pixels"]))
