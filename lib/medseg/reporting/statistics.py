"""Whether differences are real: the paired statistics, the marks of tables, and what has to be said of both.

``docs/statistics.md`` tells a reader what each word means and how it was measured that the words can be trusted.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from medseg.evaluation import measures
from medseg.evaluation.measures import Measure, named
from medseg.metrics import compare, ranking
from medseg.metrics.compare import BETTER, EQUIVALENT, UNSETTLED, WORSE
from medseg.metrics.paired import ENOUGH_TRAININGS, Paired, Scored
from medseg.metrics.ranking import Ranking
from medseg.names import joined
from medseg.reporting import cross_validation
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import capital

NAMED = 3  # configurations up to which they are named, not counted
MARGIN = 0.01  # of Dice: a difference within it matters to nobody

#: What the marks of a table say.
MARKS = (
    "Bold: best on its test set, where every other one is worse or equivalent. ≈: equivalent to the best. ?: not "
    "settled whether it differs from the best. See the statistics of paired differences."
)


@lru_cache(maxsize=128)
def differences(comparison: Comparison, metric: str = "dice", margin: float = MARGIN) -> pd.DataFrame:
    """Every configuration against the best one of each test set; see :func:`medseg.metrics.compare.compare_runs`.

    Where one lacks a fold, over the cases of the folds that all have.

    ``run`` and ``reference`` are labels of configurations. The margin holds for measures from 0 to 1, of which more is
    better; with the others nothing is equivalent.
    """
    measure = named(metric)
    return compare.compare_runs(_cases(comparison), **measure.comparing, margin=_margin(measure, margin))


@lru_cache(maxsize=128)
def pairs(
    comparison: Comparison, metric: str = "dice", margin: float = MARGIN, comparisons: int | None = None
) -> pd.DataFrame:
    """Every pair of configurations on each test set; see :func:`medseg.metrics.compare.all_pairs`."""
    measure, cases = named(metric), _cases(comparison)
    return compare.all_pairs(cases, **measure.comparing, margin=_margin(measure, margin), comparisons=comparisons)


def verdicts(found: pd.DataFrame) -> dict[tuple[str, str, str], tuple[str, float]]:
    """Verdict and difference of every ordered pair (test set, one, other), from rows of :func:`pairs`."""
    turned = {BETTER: WORSE, WORSE: BETTER}
    told: dict[tuple[str, str, str], tuple[str, float]] = {}
    for entry in found.itertuples():
        told[entry.test_set, entry.run, entry.reference] = entry.verdict, entry.difference
        verdict = turned.get(entry.verdict, entry.verdict)
        told[entry.test_set, entry.reference, entry.run] = verdict, -entry.difference
    return told


@lru_cache(maxsize=128)
def means(
    comparison: Comparison, metric: str = "dice", own: bool = False, of: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Mean of every configuration on each test set with its interval; see :func:`medseg.metrics.compare.means`.

    Over the same cases for all, as :func:`differences` are; ``own``: over those of each that its seeds have. ``of``:
    labels of those to give; None: all.
    """
    lacking = own and any(c.lacking for c in comparison.configurations)
    cases = {c.label: c.complete.cases for c in comparison.configurations} if lacking else _cases(comparison)
    return compare.means(cases, **named(metric).comparing, together=not own, of=of)


@lru_cache(maxsize=128)
def rankings(comparison: Comparison, metric: str = "dice") -> list[Ranking]:
    """The order of the configurations on each test set; see :func:`medseg.metrics.ranking.rankings`."""
    return ranking.rankings(_cases(comparison), **named(metric).comparing)


def marks(comparison: Comparison, metric: str = "dice", margin: float = MARGIN) -> dict[tuple[str, str], str]:
    """For label and test set ``best``, ``equivalent`` or ``unsettled``, see :data:`MARKS`; the others have none."""
    found: dict[tuple[str, str], str] = {}
    for test_set, part in differences(comparison, metric, margin).groupby("test_set", sort=False):
        verdicts = dict(zip(part["run"], part["verdict"], strict=True))
        shown = {EQUIVALENT: "equivalent", UNSETTLED: "unsettled"}
        found |= {(run, str(test_set)): shown[verdict] for run, verdict in verdicts.items() if verdict in shown}
        if UNSETTLED not in verdicts.values():
            found[part["reference"].iloc[0], str(test_set)] = "best"
    return found


def interval(mean: Any, digits: int = 3) -> str:
    """Interval of a row of :func:`means`, in brackets where it is in doubt; empty where there is none."""
    low, high = mean["low"], mean["high"]
    if not np.isfinite([low, high]).all():
        return ""
    text = f"{low:.{digits}f}\u2013{high:.{digits}f}"
    return f"({text})" if mean["doubt"] else text


def measured(comparison: Comparison, *, besides: Iterable[str] = ()) -> list[Measure]:
    """The measures that ``cases.csv`` of every compared run has values of, without those named."""
    left_out = set(besides)
    return [measure for measure in _measured(comparison) if measure.name not in left_out]


def lacking(comparison: Comparison) -> list[str]:
    """Which configurations lack a fold, and what that means for comparing them; [] where none does."""
    lost = {fold for c in comparison.configurations for _, fold in c.lacking}
    if not lost:
        return []
    named = "; ".join(f"{c.label} {c.lacks}" for c in comparison.configurations if c.lacking)
    kept = cross_validation.named(fold for fold in comparison.folds if fold not in lost)
    return [
        f"Incomplete: {named}. Such a mean is over the folds that all its seeds have; what is best, and whether a "
        f"difference is real, is decided on what all have: {kept}."
    ]


def best(comparison: Comparison, test_set: str) -> Configuration:
    """The configuration of highest mean Dice on a test set, over the cases that all have."""
    found = differences(comparison).query("test_set == @test_set")
    return next(c for c in comparison.configurations if found.empty or c.label == found["reference"].iloc[0])


def case_differences(comparison: Comparison, one: str, other: str, test_set: str, metric: str = "dice") -> np.ndarray:
    """A measure of ``one`` minus that of ``other``, labels of configurations, for every case of a test set in which at
    least one of the two has a value; where one has none, it rightly found nothing, which counts as perfect.
    """
    sides = _scored(comparison, metric)[test_set].kept(one, other)[1]
    return sides[0].mean(axis=1) - sides[1].mean(axis=1)


def caveats(comparison: Comparison) -> list[str]:
    """What the intervals do not say of configurations that were trained once or twice; [] from three seeds on."""
    few = [c for c in comparison.configurations if len(c.cases) < ENOUGH_TRAININGS]
    if not few:
        return []
    if len(few) == len(comparison.configurations):
        return [
            f"{capital(trainings(comparison))}: intervals and verdicts hold for these trained networks on other cases. "
            "To know how results vary from one training to the next takes three seeds or more."
        ]
    counted = f"{len(few)} of {len(comparison.configurations)} configurations"
    named = joined(c.label for c in few) if len(few) <= NAMED else counted
    return [
        f"Trained fewer than three times: {named}. Intervals and verdicts on these hold for the trained networks at "
        "hand on other cases and look narrower than they are for the configurations: only where both sides have three "
        "trainings or more do they hold what another training would change."
    ]


def too_many(comparison: Comparison) -> list[str]:
    """That configurations are too many to be told apart, where they are; else []."""
    size = len(comparison.configurations)
    if compare.can_tell(size * (size - 1) // 2):
        return []
    return [
        f"{size} configurations make {size * (size - 1) // 2:,} pairs: corrected for so many, no p can be below "
        f"{compare.ALPHA:g}, and nothing is called better or worse. Report on one sweep ('medseg report STUDY --sweep "
        "NAME'), where the best are among fewer."
    ]


def empties(comparison: Comparison) -> list[str]:
    """How a case counts that is empty in the truth and in some predictions, where there is one; else []."""
    sets = [name for name, scored in _cases(comparison).by_test_set("dice", False, (0, 1)) if scored.uneven]
    if not sets:
        return []
    return [
        "A case with nothing to find has no Dice. Where a network found something in it, it counts 0 for that one and "
        "1 for those that rightly found nothing, so that all means are over the same cases; where all are right, none.",
        *(said for name in sets if (said := _turned(comparison, name))),
    ]


def _turned(comparison: Comparison, test_set: str) -> str:
    """Who is best over the cases that have something to find, where that is another; else empty."""
    present = {}
    for c in comparison.shared:
        cases = c.pooled(test_set)
        present[c.label] = cases["dice"][cases["tp"] + cases["fn"] > 0].mean()
    first = best(comparison, test_set).label
    other = max(present, key=lambda label: np.nan_to_num(present[label], nan=-1.0))
    if first == other or not present[other] > present[first]:
        return ""
    return (
        f"On {test_set} the cases with nothing to find decide who is first: over the others {other} has the highest "
        f"mean Dice, {present[other]:.3f}, and {first} {present[first]:.3f}."
    )


def trainings(comparison: Comparison, of: Configuration | None = None) -> str:
    """How often each configuration was trained, in words such as ``3 trainings each``; where that differs, how often
    ``of`` was, or the least of all.
    """
    word = "cross-validation" if comparison.folds else "training"
    counts = [len(c.cases) for c in comparison.configurations]
    least, uneven = min(counts), len(set(counts)) > 1
    count = len(of.cases) if of and uneven else least
    end = ("" if of else " or more each") if uneven else " each"
    return f"{count} {word}s{end}" if count > 1 else f"one {word}{end}"


def p_value(value: float, equals: str = "") -> str:
    """A p value to three digits, ``equals`` before it where it is not below 0.001; a dash where there is none."""
    if value != value:
        return "\u2013"
    return "< 0.001" if value < 0.001 else f"{equals}{value:.3f}"


@lru_cache(maxsize=16)
def _measured(comparison: Comparison) -> tuple[Measure, ...]:
    tables = [cases for c in comparison.configurations for cases in c.cases]

    def known(name: str) -> bool:
        return all(name in cases and cases[name].notna().any() for cases in tables)

    return tuple(measure for measure in measures.MEASURES if known(measure.name))


@lru_cache(maxsize=16)
def _cases(comparison: Comparison) -> Paired:
    return Paired({c.label: c.cases for c in comparison.shared})


@lru_cache(maxsize=16)
def _scored(comparison: Comparison, metric: str) -> dict[str, Scored]:
    """By test set."""
    measure = named(metric)
    bounds = measure.low, measure.high
    return dict(_cases(comparison).by_test_set(metric, measure.lower_is_better, bounds))


def _margin(measure: Measure, margin: float) -> float | None:
    return margin if (measure.low, measure.high) == (0, 1) and not measure.lower_is_better else None
