"""The measures of a case: one entry of :data:`MEASURES` each, a column of ``cases.csv``, of tables and of statistics.

To add a measure, write a function of :class:`ScoredMask` and add an entry. It is then computed for every case of the
kinds of label it names, and whatever shows or compares measures knows its title, direction, range and unit.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medseg.errors import MedsegError
from medseg.metrics import boundary, overlap, saliency
from medseg.metrics.overlap import Counts, confusion_counts

KINDS = ("binary", "overlapping", "class_map")
"""Kinds of label: one class; several that may share pixels, each scored by itself; several of which a pixel has one,
scored as one foreground."""


@dataclass(frozen=True)
class ScoredMask:
    """One class of one picture, at the picture's own size: what a measure may look at."""

    predicted: np.ndarray  # (H, W) bool
    truth: np.ndarray  # (H, W), bool or uint8 with the values 0 and 1
    counts: Counts  # of the two
    tolerance: float  # up to which outlines count as the same, pixels
    spacing: tuple[float, float] | None = None  # height and width of a pixel, mm, where they are known
    #: Columns of :data:`medseg.metrics.saliency.MEASURES`, which follow from the probabilities; empty if not taken.
    saliency: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A measure of one class in one picture."""

    name: str  # column of ``cases.csv``
    title: str  # for tables, without the unit
    of: Callable[[ScoredMask], Any]  # the value, a float; NaN where there is nothing to measure: left out
    lower_is_better: bool = False
    low: float = 0.0  # the range goes from this ...
    high: float = 1.0  # ... to this, infinity where there is no bound
    unit: str = ""  # such as ``px``
    tested: bool = True  # whether differences between runs can be tested over the cases
    kinds: tuple[str, ...] = KINDS  # of label for which it is computed
    in_mm: bool = False  # whether it is computed only where the size of a pixel is known

    @property
    def heading(self) -> str:
        """Title and unit, for a column of a table."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def comparing(self) -> dict[str, Any]:
        """What :func:`medseg.metrics.compare.compare_runs` has to know of the measure."""
        return {"metric": self.name, "lower_is_better": self.lower_is_better, "bounds": (self.low, self.high)}


def _saliency(name: str, title: str, *, high: float = 1.0, tested: bool = True, lower: bool = False) -> Measure:
    return Measure(
        name, title, lambda scored: scored.saliency[name], lower, high=high, tested=tested, kinds=("binary",)
    )


#: The E-measure divides by one pixel less than there are, so that it ends a little above 1.
_E_HIGH = 1.05

MEASURES = (
    Measure("dice", "Dice", lambda scored: overlap.dice(*scored.counts[:3])),
    Measure("iou", "IoU", lambda scored: overlap.iou(*scored.counts[:3])),
    Measure("precision", "precision", lambda scored: overlap.precision(*scored.counts[:3])),
    Measure("recall", "recall", lambda scored: overlap.recall(*scored.counts[:3])),
    Measure(
        "hd95",
        "HD95",
        lambda scored: boundary.hd95(scored.predicted, scored.truth),
        lower_is_better=True,
        high=math.inf,
        unit="px",
    ),
    Measure(
        "hd95_mm",
        "HD95",
        lambda scored: boundary.hd95(scored.predicted, scored.truth, scored.spacing or (math.nan, math.nan)),
        lower_is_better=True,
        high=math.inf,
        unit="mm",
        in_mm=True,
    ),
    Measure(
        "surface_dice",
        "surface Dice",
        lambda scored: boundary.surface_dice(scored.predicted, scored.truth, scored.tolerance),
    ),
    Measure(
        "binary_iou", "binary IoU", lambda scored: overlap.binary_iou(*scored.counts), kinds=("binary", "class_map")
    ),
    _saliency("mdice_thresholds", "mDice"),
    _saliency("miou_thresholds", "mIoU"),
    _saliency("weighted_f", "weighted F"),
    _saliency("s_measure", "S"),
    _saliency("e_mean", "mean E", high=_E_HIGH),
    _saliency("e_max", "max E", high=_E_HIGH, tested=False),  # of a test set it is no mean over cases
    _saliency("mae", "MAE", lower=True),
    # Of the whole picture, where the classes of a map name it: whoever says what a picture's class is writes it.
    Measure("class_accuracy", "class of the picture, accuracy", lambda scored: math.nan, kinds=()),
)
"""Every measure, in the order of the columns."""


def of_kind(kind: str) -> tuple[Measure, ...]:
    """The measures of a kind of label; a :class:`MedsegError` where there is no such kind."""
    if kind not in KINDS:
        raise MedsegError(f"There is no kind of label {kind!r}. Choose one of: {', '.join(KINDS)}.")
    return tuple(measure for measure in MEASURES if kind in measure.kinds)


def named(name: str) -> Measure:
    """The measure of a column; a :class:`MedsegError` where there is none."""
    for measure in MEASURES:
        if measure.name == name:
            return measure
    known = ", ".join(measure.name for measure in MEASURES)
    raise MedsegError(f"There is no measure {name!r}. Choose one of: {known}.")


def score(
    kind: str,
    predicted: np.ndarray,
    truth: np.ndarray,
    *,
    tolerance: float,
    saliency_of: Mapping[str, float] | None = None,
    spacing: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Counts (tp, fp, fn, tn) and every measure of ``kind``, by column; arguments as of :class:`ScoredMask`.

    Measures in millimetres are left out where there is no ``spacing``.

    Raises:
        MedsegError: there is no such kind.
        ValueError: shapes differ, an array is not a binary mask, or a negative tolerance.
    """
    counts = confusion_counts(predicted, truth)
    values = saliency_of or dict.fromkeys(saliency.MEASURES, math.nan)
    scored = ScoredMask(predicted, truth, counts, tolerance, spacing, values)
    wanted = [measure for measure in of_kind(kind) if spacing or not measure.in_mm]
    return {**counts._asdict(), **{measure.name: measure.of(scored) for measure in wanted}}
