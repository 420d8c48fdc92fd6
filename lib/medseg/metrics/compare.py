"""Whether runs differ: paired statistics over the cases that they were all scored on."""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from medseg.errors import MedsegError
from medseg.metrics.cluster_bootstrap import Estimate, least_p
from medseg.metrics.paired import Paired, Scored, Trainings

ALPHA = 0.05
BETTER, WORSE, EQUIVALENT, UNSETTLED = "better", "worse", "equivalent", "not settled"
COLUMNS = (
    *("test_set", "run", "reference", "difference", "low", "high", "p", "p_holm", "detectable", "n", "n_groups"),
    *("trainings", "verdict", "doubt", "note", "cut"),
)
_MOST_RUNS = 20  # of which every pair is tested
_DRAWS, _MOST_DRAWS = 9999, 99_999  # the more comparisons, the smaller p values that must be told apart


def holm(p_values: Iterable[float], comparisons: int | None = None) -> np.ndarray:
    """p values adjusted for a family of comparisons by Holm's step-down method (1979, Scand. J. Stat. 6:65).

    Args:
        p_values: raw p values; NaN where there was no test, which counts as 1.
        comparisons: size of the family where it is larger than the number of ``p_values``; these are then taken for
            its smallest, which errs on the safe side.

    Returns:
        float64 adjusted p values in the order given, at most 1; NaN where there was no test.
    """
    given = np.asarray(list(p_values), float)
    raw = np.nan_to_num(given, nan=1.0)
    size = len(raw) if comparisons is None else comparisons
    order = np.argsort(raw)
    stepped = np.maximum.accumulate((size - np.arange(len(raw))) * raw[order])
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1)
    return np.where(np.isnan(given), np.nan, adjusted)


def compare_runs(
    cases_by_run: Mapping[str, Trainings] | Paired,
    *,
    metric: str = "dice",
    reference: str | None = None,
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    margin: float | None = None,
) -> pd.DataFrame:
    """Compare every run with the best one, or with ``reference``, on each test set.

    Cases are paired on case and class; the score of a case is the mean over a run's trainings. A pair in which all
    values are NaN (nothing there, nothing predicted) is left out; where one is NaN, that training rightly predicted
    nothing while another made a false positive, and the NaN counts as the best value there is: 1 for Dice, 0 for a
    distance.

    A run is *better* or *worse* than the reference when the interval excludes 0 and the Holm-adjusted p is below 0.05,
    *equivalent* when the whole interval lies within ``margin`` of 0 (Lakens 2017, Soc. Psychol. Personal. Sci. 8:355,
    with the 95 % interval for the 90 % one), else, and wherever an estimate is in doubt, *not settled*. The family is
    the comparisons on one test set: with the runs' number k, k - 1 against a reference named beforehand, but all
    k (k - 1) / 2 pairs against the best run, because the best is picked by looking at the results.

    Args:
        cases_by_run: for each run the ``cases.csv`` of its trainings, with measures; those :class:`Paired` once serve
            for every measure.
        metric: column of a measure; see :mod:`medseg.evaluation.measures`.
        reference: run to compare with; None takes the run of best mean on each test set.
        lower_is_better: of two values of the metric.
        bounds: least and greatest value that the metric can have; the better of the two is perfect and is finite.
        margin: differences up to this do not matter to anybody; None: nothing is ever equivalent.

    Returns:
        One row per test set and run other than the reference: difference (mean of run minus reference over the n
        pairs), low and high (95 % interval; cut: it reached beyond what can be), p, p_holm and detectable (the smallest
        true difference that would be told in 80 of 100 such samples if all other pairs were equal; see
        :class:`medseg.metrics.cluster_bootstrap.Estimate`), n, n_groups, trainings (of the side that has fewer; from
        three on, what another training would give is part of interval and p), verdict, doubt (see there), and note:
        what to be wary of.

    Raises:
        MedsegError: an unknown reference, a missing column, a case that is there twice, or runs scored on different
            cases or against different truth.
    """
    if reference is not None and reference not in cases_by_run:
        raise MedsegError(f"There is no run {reference!r} to compare with. Choose one of: {', '.join(cases_by_run)}.")
    rows: list[dict] = []
    for test_set, scored in Paired.of(cases_by_run).by_test_set(metric, lower_is_better, bounds):
        means = {run: scored.mean(run) * (-1 if lower_is_better else 1) for run in scored.runs}
        best = reference or max(means, key=lambda run: (means[run] == means[run], means[run]))
        others = [run for run in scored.runs if run != best]
        count = len(others) * (len(others) + 1) // 2
        if reference is not None or len(scored.runs) > _MOST_RUNS:
            found = _tested(test_set, scored, [(run, best) for run in others], margin, None if reference else count)
        else:
            pairs = [(one, other) if other == best else (other, one) for one, other in combinations(scored.runs, 2)]
            found = [row for row in _tested(test_set, scored, pairs, margin) if row["reference"] == best]
        rows += found
    return pd.DataFrame(rows, columns=COLUMNS)


def all_pairs(
    cases_by_run: Mapping[str, Trainings] | Paired,
    *,
    metric: str = "dice",
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    margin: float | None = None,
    comparisons: int | None = None,
) -> pd.DataFrame:
    """Every pair of runs on each test set, the earlier one as ``run``; else as :func:`compare_runs`.

    ``comparisons`` is the size of the family where these runs were picked out of more; see :func:`holm`.
    """
    rows: list[dict] = []
    for test_set, scored in Paired.of(cases_by_run).by_test_set(metric, lower_is_better, bounds):
        rows += _tested(test_set, scored, list(combinations(scored.runs, 2)), margin, comparisons)
    return pd.DataFrame(rows, columns=COLUMNS)


def means(
    cases_by_run: Mapping[str, Trainings] | Paired,
    *,
    metric: str = "dice",
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    together: bool = True,
    of: Collection[str] | None = None,
) -> pd.DataFrame:
    """Mean of every run on each test set with its interval.

    ``together``: over the same cases for all, those of which any run has a value, as :func:`compare_runs` pairs them;
    False: over those of which the run itself has one, and runs that are not :class:`Paired` need not share their cases.
    ``of``: these runs alone, over the cases of all.

    Returns:
        One row per test set and run: test_set, run, mean, low, high, n, n_groups, trainings, doubt; the interval holds
        other trainings from three on. It is cut, and in doubt, where it reaches beyond the measure's bounds; of a
        measure without an upper one, beyond the largest value of any case. Where all groups have the same value there
        is none (NaN).
    """
    rows: list[list[Any]] = []
    if together or isinstance(cases_by_run, Paired):
        parts = [Paired.of(cases_by_run)]
    else:
        parts = [Paired({run: tables}) for run, tables in cases_by_run.items()]
    for part in parts:
        for test_set, scored in part.by_test_set(metric, lower_is_better, bounds):
            wanted = [run for run in scored.runs if of is None or run in of]
            each = scored.estimates([(run,) for run in wanted], among=scored.runs if together else ())
            for run, (found, trainings) in zip(wanted, each, strict=True):
                low, high, doubt = _possible(found, scored)
                rows.append([test_set, run, found.mean, low, high, found.n, found.n_groups, trainings, doubt])
    columns = ["test_set", "run", "mean", "low", "high", "n", "n_groups", "trainings", "doubt"]
    return pd.DataFrame(rows, columns=columns)


def _possible(found: Estimate, scored: Scored) -> tuple[float, float, str]:
    """Interval and doubt of a mean, held to what the measure can be: skewed values of few groups reach beyond."""
    if found.low == found.high:
        return np.nan, np.nan, found.doubt or "all groups have the same value"
    low, high = np.clip([found.low, found.high], *scored.ends)
    beyond = "beyond every value seen" if np.inf in scored.bounds else "beyond what can be"
    cut = (low, high) != (found.low, found.high) and not np.isnan(low)
    return low, high, found.doubt or (f"the interval reaches {beyond}" if cut else "")


def _tested(
    test_set: str,
    scored: Scored,
    pairs: list[tuple[str, str]],
    margin: float | None,
    family: int | None = None,
) -> list[dict]:
    """The rows of ``pairs`` of a run and its reference; ``family`` as ``comparisons`` of :func:`holm`."""
    span = scored.ends[1] - scored.ends[0]
    draws = draws_for(family or len(pairs))
    rows: list[dict[str, Any]] = []
    for (run, reference), (found, trainings) in zip(pairs, scored.estimates(pairs, draws=draws), strict=True):
        one_sided = scored.one_sided(run, reference)
        where = f"{one_sided} case{'s' if one_sided > 1 else ''} with nothing to find"
        uneven = f"in {where} only one of the two found nothing"
        rows.append(
            {
                **{"test_set": test_set, "run": run, "reference": reference, "difference": found.mean},
                **{"low": max(found.low, -span), "high": min(found.high, span), "p": found.p},
                **{"n": found.n, "n_groups": found.n_groups, "trainings": trainings},
                "detectable": found.detectable(ALPHA / (family or len(pairs))),
                "cut": max(-found.low, found.high) > span,
                "note": "; ".join(text for text in (found.doubt, uneven if one_sided else "") if text),
                "doubt": found.doubt,
            }
        )
    for row, adjusted in zip(rows, holm([row["p"] for row in rows], family), strict=True):
        row["p_holm"] = float(adjusted)
        row["verdict"] = _verdict(row, margin, scored.lower)
    return rows


def draws_for(comparisons: int) -> int:
    """Bootstrap draws for a family of so many comparisons: enough for a corrected p below :data:`ALPHA`.

    Where the most that are ever drawn would not do, more than the usual number tell nothing: see :func:`can_tell`.
    """
    return min(max(_DRAWS, 150 * comparisons), _MOST_DRAWS) if can_tell(comparisons) else _DRAWS


def can_tell(comparisons: int) -> bool:
    """Whether the smallest p of a family of so many comparisons can be below :data:`ALPHA` once it is corrected."""
    return comparisons * least_p(_MOST_DRAWS) < ALPHA


def _verdict(row: Mapping[str, Any], margin: float | None, lower_is_better: bool) -> str:
    if row["doubt"]:
        return UNSETTLED
    if margin is not None and -margin < row["low"] and row["high"] < margin:
        return EQUIVALENT
    if row["p_holm"] < ALPHA and not row["low"] <= 0 <= row["high"]:
        return BETTER if (row["difference"] > 0) != lower_is_better else WORSE
    return UNSETTLED
