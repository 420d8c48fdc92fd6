"""Counts of true and false pixels, and overlap measures from them, per case and summarised.

One rule for all four measures: where truth and prediction are both empty there is nothing to measure, the value is
NaN and is left out of means. Everywhere else an empty denominator gives 0: empty truth with a prediction (a false
positive) and a structure that was missed altogether both count, they do not vanish.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from medseg.errors import MedsegError
from medseg.names import listed

COUNTS = ("tp", "fp", "fn", "tn")
OVERLAP = ("dice", "iou", "precision", "recall")
SUMMARY = (
    *("test_set", "mean_dice", "mean_iou", "pooled_dice", "pooled_iou", "sd"),
    *("n_cases", "n_scored", "n_false_positive", "n_missed"),
)


class Counts(NamedTuple):
    """Pixels of one class in one picture: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion_counts(prediction: np.ndarray, truth: np.ndarray) -> Counts:
    """Count the pixels of one class at the resolution of the arrays (H, W), bool or uint8 with the values 0 and 1.

    Raises ValueError: shapes differ or are not two-dimensional, or an array is not a binary mask.
    """
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(f"expected two masks (H, W) of one shape, got {prediction.shape} and {truth.shape}")
    predicted, true = _as_bool(prediction, "prediction"), _as_bool(truth, "truth")
    tp = np.count_nonzero(predicted & true)
    fp = np.count_nonzero(predicted) - tp
    fn = np.count_nonzero(true) - tp
    return Counts(int(tp), int(fp), int(fn), int(truth.size - tp - fp - fn))


def dice(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> float | np.ndarray:
    """Dice coefficient 2 TP / (2 TP + FP + FN) in [0, 1], which is also the F1 score (Dice 1945, Ecology 26:297).

    Of integer counts, scalars or arrays (pandas columns too) of one shape. A float for scalars, a float64 array
    otherwise; NaN where truth and prediction are both empty.
    """
    tp, fp, fn = _integers(tp, fp, fn)
    return _ratio(2 * tp, 2 * tp + fp + fn, tp + fp + fn)


def iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> float | np.ndarray:
    """Intersection over union TP / (TP + FP + FN) (Jaccard 1912, New Phytologist 11:37); as :func:`dice`."""
    tp, fp, fn = _integers(tp, fp, fn)
    return _ratio(tp, tp + fp + fn, tp + fp + fn)


def precision(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> float | np.ndarray:
    """TP / (TP + FP), 0 for an empty prediction of a non-empty truth; as :func:`dice`."""
    tp, fp, fn = _integers(tp, fp, fn)
    return _ratio(tp, tp + fp, tp + fp + fn)


def recall(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> float | np.ndarray:
    """TP / (TP + FN), the sensitivity, 0 for a prediction where truth is empty; as :func:`dice`."""
    tp, fp, fn = _integers(tp, fp, fn)
    return _ratio(tp, tp + fn, tp + fp + fn)


def binary_iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> float | np.ndarray:
    """Mean of the IoU of the structure and that of the background, TN / (TN + FP + FN); as :func:`dice`.

    This is what Keras calls ``BinaryIoU``. Background is most of a picture and nearly always right, so the value is far
    above the structure's own IoU: 0.5 for nothing found at all.
    """
    tp, fp, fn, tn = _integers(tp, fp, fn, tn)
    background = _ratio(tn, tn + fp + fn, tn + fp + fn)
    return (_ratio(tp, tp + fp + fn, tp + fp + fn) + background) / 2


def with_overlap(cases: pd.DataFrame) -> pd.DataFrame:
    """A copy of ``cases`` with the columns dice, iou, precision and recall computed from tp, fp and fn.

    Raises MedsegError: as :func:`refuse_incomplete`.
    """
    refuse_incomplete(cases)
    counts = cases["tp"], cases["fp"], cases["fn"]
    return cases.assign(dice=dice(*counts), iou=iou(*counts), precision=precision(*counts), recall=recall(*counts))


def refuse_incomplete(cases: pd.DataFrame) -> None:
    """Raise MedsegError: a column of counts is missing, or a count is missing in a row."""
    if absent := [column for column in COUNTS if column not in cases.columns]:
        raise MedsegError(
            f"The table of cases lacks the column(s) {', '.join(absent)}; it has {', '.join(map(str, cases.columns))}. "
            "Score the run again with 3_evaluate."
        )
    incomplete = cases[list(COUNTS)].isna().any(axis=1)
    if incomplete.any():
        names = cases.loc[incomplete, "case_id"] if "case_id" in cases.columns else cases.index[incomplete]
        raise MedsegError(f"The table of cases has no counts for {listed(names)}. Score the run again with 3_evaluate.")


def summarise(cases: pd.DataFrame) -> pd.DataFrame:
    """Summarise a table of cases, one row per test set in order of appearance, with the columns :data:`SUMMARY`.

    ``cases`` has at least the columns test_set, tp, fp, fn, tn; one row per case and class. The measures are computed
    from the counts, whatever columns of measures are there.

    - mean_dice, mean_iou: means over the scored rows (mDice, mIoU), NaN where none was scored;
    - pooled_dice, pooled_iou: of the summed counts, so that large structures weigh more;
    - sd: sample standard deviation (n - 1) of Dice over the scored rows;
    - n_cases: rows; n_scored: rows with a non-empty truth or prediction;
    - n_false_positive: rows with empty truth and a prediction;
    - n_missed: rows with a non-empty truth of which no pixel was found.

    Raises MedsegError: as :func:`refuse_incomplete`. Whether every case is there is for :func:`check_complete`.
    """
    rows = []
    refuse_incomplete(cases)
    counts = np.stack([cases[column].to_numpy(np.int64) for column in ("tp", "fp", "fn")])
    codes, names = pd.factorize(cases["test_set"], use_na_sentinel=False)
    for number, test_set in enumerate(names):  # on arrays: a report summarises hundreds of tables
        tp, fp, fn = own = counts[:, codes == number]
        pooled, truth = [int(count) for count in own.sum(axis=1)], tp + fn
        scores = pd.Series(dice(tp, fp, fn))
        rows.append(
            {
                "test_set": test_set,
                "mean_dice": scores.mean(),
                "mean_iou": pd.Series(iou(tp, fp, fn)).mean(),
                "pooled_dice": dice(*pooled),
                "pooled_iou": iou(*pooled),
                "sd": scores.std(),
                "n_cases": len(tp),
                "n_scored": int(scores.notna().sum()),
                "n_false_positive": int(((truth == 0) & (fp > 0)).sum()),
                "n_missed": int(((truth > 0) & (tp == 0)).sum()),
            }
        )
    return pd.DataFrame(rows, columns=list(SUMMARY))


def check_complete(cases: pd.DataFrame, expected_ids: Iterable[str]) -> None:
    """Check that every expected case has exactly one row for each class that occurs, and that no other case is there.

    ``cases`` has the columns case_id and class. Raises MedsegError: names the cases that are missing, there twice, or
    not expected.
    """
    expected = list(dict.fromkeys(map(str, expected_ids)))
    scored = pd.Series(list(zip(cases["case_id"].astype(str), cases["class"].astype(str), strict=True)), dtype=object)
    present = set(scored)
    ids, classes = {case for case, _ in present}, sorted({name for _, name in present})
    absent = [case for case in expected if case not in ids]
    partial = [
        f"{case} ({name})" for case in expected if case in ids for name in classes if (case, name) not in present
    ]
    doubled = [f"{case} ({name})" for case, name in dict.fromkeys(scored[scored.duplicated()])]
    unexpected = sorted(ids - set(expected))
    problems = (("not scored", absent + partial), ("scored more than once", doubled), ("not expected", unexpected))
    if found := [f"{what}: {listed(names)}" for what, names in problems if names]:
        raise MedsegError(
            f"The table of cases is not complete ({len(expected)} cases expected); {'; '.join(found)}. "
            "Score the run again with 3_evaluate."
        )


def _integers(*counts: ArrayLike) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(count, dtype=np.int64) for count in counts)


def _ratio(part: np.ndarray, whole: np.ndarray, anything: np.ndarray) -> float | np.ndarray:
    """``part / whole``, 0 where ``whole`` is 0, NaN where ``anything`` is 0."""
    ratio = np.where(anything > 0, part / np.maximum(whole, 1), np.nan)
    return float(ratio) if ratio.ndim == 0 else ratio


def _as_bool(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.dtype == bool:
        return mask
    if mask.dtype != np.uint8:
        raise ValueError(f"{name} must be bool or uint8, got {mask.dtype}; threshold it first")
    # 0/255 masks would count right and 0/2 masks wrong, so neither is let through.
    if mask.size and mask.max() > 1:
        raise ValueError(f"{name} must hold 0 and 1 only, got values up to {mask.max()}")
    return mask.view(bool)
