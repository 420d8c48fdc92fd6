"""Whether runs differ: paired statistics over the cases that they were all scored on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from medseg.errors import MedsegError
from medseg.metrics.cluster_bootstrap import Estimate, Noise, estimates, training_noise
from medseg.metrics.overlap import COUNTS

KEY = ["test_set", "case_id", "class"]
ALPHA = 0.05
BETTER, WORSE, EQUIVALENT, UNSETTLED = "better", "worse", "equivalent", "not settled"
ENOUGH_TRAININGS = 3  # of each side, for a statement about configurations
COLUMNS = (
    *("test_set", "run", "reference", "difference", "low", "high", "p", "p_holm", "detectable", "n", "n_groups"),
    *("trainings", "verdict", "doubt", "note"),
)
_MOST_RUNS = 20  # of which every pair is tested
_DRAWS, _MOST_DRAWS = 9999, 99_999  # the more comparisons, the smaller p values that must be told apart

Trainings = Sequence[pd.DataFrame]


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
    cases_by_run: Mapping[str, Trainings],
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
        cases_by_run: for each run the ``cases.csv`` of its trainings, with measures.
        metric: column of a measure; see :mod:`medseg.evaluation.measures`.
        reference: run to compare with; None takes the run of best mean on each test set.
        lower_is_better: of two values of the metric.
        bounds: least and greatest value that the metric can have; the better of the two is perfect and is finite.
        margin: differences up to this do not matter to anybody; None: nothing is ever equivalent.

    Returns:
        One row per test set and run other than the reference: difference (mean of run minus reference over the n
        pairs), low and high (95 % interval), p, p_holm and detectable (see
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
    for test_set, scored in by_test_set(cases_by_run, metric, lower_is_better, bounds):
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
    cases_by_run: Mapping[str, Trainings],
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
    for test_set, scored in by_test_set(cases_by_run, metric, lower_is_better, bounds):
        rows += _tested(test_set, scored, list(combinations(scored.runs, 2)), margin, comparisons)
    return pd.DataFrame(rows, columns=COLUMNS)


def means(
    cases_by_run: Mapping[str, Trainings],
    *,
    metric: str = "dice",
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    together: bool = True,
) -> pd.DataFrame:
    """Mean of every run on each test set with its interval.

    ``together``: over the same cases for all, those of which any run has a value, as :func:`compare_runs` pairs them;
    False: over those of which the run itself has one, and the runs need not share their cases.

    Returns:
        One row per test set and run: test_set, run, mean, low, high, n, n_groups, trainings, doubt; the interval holds
        other trainings from three on.
    """
    rows = []
    for part in [cases_by_run] if together else [{run: tables} for run, tables in cases_by_run.items()]:
        for test_set, scored in by_test_set(part, metric, lower_is_better, bounds):
            each = scored.estimates([(run,) for run in scored.runs], among=scored.runs)
            for run, (found, trainings) in zip(scored.runs, each, strict=True):
                low, high = np.clip([found.low, found.high], *bounds)
                rows.append([test_set, run, found.mean, low, high, found.n, found.n_groups, trainings, found.doubt])
    columns = ["test_set", "run", "mean", "low", "high", "n", "n_groups", "trainings", "doubt"]
    return pd.DataFrame(rows, columns=columns)


class Scored:
    """The values of every training of every run on one test set, case by case."""

    def __init__(self, values: Mapping[str, pd.DataFrame], groups: pd.Series, lower: bool, bounds: tuple[float, float]):
        self.values, self.groups, self.lower, self.bounds = values, groups.to_numpy(), lower, bounds
        self.perfect = bounds[0] if lower else bounds[1]

    @property
    def runs(self) -> list[str]:
        return list(self.values)

    def mean(self, run: str) -> float:
        """Over the cases of which any run has a value; NaN where there is none."""
        kept, sides = self.kept(run, among=self.runs)
        return float(sides[0].mean()) if kept.any() else float("nan")

    def estimates(
        self, wanted: Sequence[tuple[str, ...]], among: Sequence[str] = (), draws: int = _DRAWS
    ) -> list[tuple[Estimate, int]]:
        """For each of ``wanted``, one run or two: the estimate of the mean of the one, or of the first one's mean minus
        the second's; and trainings of the smaller side.
        """
        columns: dict[bytes, list[tuple[int, np.ndarray, Noise]]] = {}
        trainings = []
        for number, runs in enumerate(wanted):
            kept, sides = self.kept(*runs, among=among)
            trainings.append(min(side.shape[1] for side in sides))
            noise = Noise()
            if trainings[-1] >= ENOUGH_TRAININGS and kept.any():
                noise = training_noise(*(side.mean(axis=0) for side in sides))
            values = sides[0].mean(axis=1) - (sides[1].mean(axis=1) if len(sides) > 1 else 0)
            columns.setdefault(kept.tobytes(), []).append((number, values, noise))
        found: dict[int, Estimate] = {}
        for mask, members in columns.items():  # over the same cases, so with the same draws
            numbers, values, noises = zip(*members, strict=True)
            groups = self.groups[np.frombuffer(mask, bool)]
            found |= zip(numbers, estimates(np.column_stack(values), groups, noises=noises, draws=draws), strict=True)
        return [(found[number], trainings[number]) for number in range(len(wanted))]

    def one_sided(self, *runs: str) -> int:
        """Pairs of which one side is NaN."""
        return int((self._scored[runs[0]] != self._scored[runs[1]]).sum())

    def kept(self, *runs: str, among: Sequence[str] = ()) -> tuple[np.ndarray, list[np.ndarray]]:
        """(cases,) bool, which of them have a value in any run ``among``, or of ``runs``; of these, (kept, trainings)
        for each of ``runs``.
        """
        kept = np.logical_or.reduce([self._scored[run] for run in among or runs])
        return kept, [self._filled[run][kept] for run in runs]

    @cached_property
    def _scored(self) -> dict[str, np.ndarray]:
        """(cases,) bool of every run: which of them have a value in any of its trainings."""
        return {run: table.notna().any(axis=1).to_numpy() for run, table in self.values.items()}

    @cached_property
    def _filled(self) -> dict[str, np.ndarray]:
        """(cases, trainings) of every run, what is missing counted as perfect."""
        return {run: table.fillna(self.perfect).to_numpy() for run, table in self.values.items()}


def _tested(
    test_set: str,
    scored: Scored,
    pairs: list[tuple[str, str]],
    margin: float | None,
    family: int | None = None,
) -> list[dict]:
    """The rows of ``pairs`` of a run and its reference; ``family`` as ``comparisons`` of :func:`holm`."""
    span = scored.bounds[1] - scored.bounds[0]
    draws = min(max(_DRAWS, 150 * (family or len(pairs))), _MOST_DRAWS)
    rows: list[dict[str, Any]] = []
    for (run, reference), (found, trainings) in zip(pairs, scored.estimates(pairs, draws=draws), strict=True):
        one_sided = scored.one_sided(run, reference)
        uneven = f"{one_sided} pair(s) with empty truth where only one of the two predicted something"
        rows.append(
            {
                **{"test_set": test_set, "run": run, "reference": reference, "difference": found.mean},
                **{"low": max(found.low, -span), "high": min(found.high, span), "p": found.p},
                **{"detectable": found.detectable, "n": found.n, "n_groups": found.n_groups, "trainings": trainings},
                "note": "; ".join(text for text in (found.doubt, uneven if one_sided else "") if text),
                "doubt": found.doubt,
            }
        )
    for row, adjusted in zip(rows, holm([row["p"] for row in rows], family), strict=True):
        row["p_holm"] = float(adjusted)
        row["verdict"] = _verdict(row, margin, scored.lower)
    return rows


def _verdict(row: Mapping[str, Any], margin: float | None, lower_is_better: bool) -> str:
    if row["doubt"]:
        return UNSETTLED
    if margin is not None and -margin < row["low"] and row["high"] < margin:
        return EQUIVALENT
    if row["p_holm"] < ALPHA and not row["low"] <= 0 <= row["high"]:
        return BETTER if (row["difference"] > 0) != lower_is_better else WORSE
    return UNSETTLED


def by_test_set(
    cases_by_run: Mapping[str, Trainings], metric: str, lower_is_better: bool, bounds: tuple[float, float]
) -> Iterable[tuple[str, Scored]]:
    """The scores of every test set, once it is clear that all trainings were scored on the same cases."""
    tables = {
        run: [_keyed(run, cases, metric, bounds) for cases in trainings] for run, trainings in cases_by_run.items()
    }
    if not tables:
        return
    first = next(iter(tables))
    base = tables[first][0]
    for run, trainings in tables.items():
        for table in trainings:
            _check_same_cases(first, base, run, table)
    together = {
        run: pd.concat([t[metric] for t in trainings], axis=1).loc[base.index] for run, trainings in tables.items()
    }
    for test_set, part in base.groupby(level="test_set", sort=False):
        values = {run: table.loc[part.index] for run, table in together.items()}
        yield str(test_set), Scored(values, part["group"], lower_is_better, bounds)


def _keyed(run: str, cases: pd.DataFrame, metric: str, bounds: tuple[float, float]) -> pd.DataFrame:
    """``cases`` indexed by :data:`KEY`, with the columns group, truth (its pixels), pixels and the metric."""
    absent = [column for column in (*KEY, "group", *COUNTS, metric) if column not in cases.columns]
    if absent:
        raise MedsegError(f"The cases of run {run} lack the column(s) {', '.join(absent)}. Score it with 3_evaluate.")
    if not cases[metric].dropna().between(*bounds).all():
        raise MedsegError(
            f"{metric} of run {run} is not a score between {bounds[0]:g} and {bounds[1]:g} and cannot be compared here."
        )
    table = pd.DataFrame(
        {
            "group": cases["group"].astype(str).fillna("").to_numpy(),
            "truth": (cases["tp"] + cases["fn"]).to_numpy(),
            "pixels": cases[list(COUNTS)].sum(axis=1).to_numpy(),
            metric: cases[metric].to_numpy(float),
        },
        index=pd.MultiIndex.from_frame(cases[KEY].astype(str).fillna("")),
    )
    doubled = table.index[table.index.duplicated()].unique()
    if len(doubled):
        raise MedsegError(f"The cases of run {run} hold {_named(doubled)} more than once. Score it again.")
    return table


def _check_same_cases(first: str, base: pd.DataFrame, run: str, table: pd.DataFrame) -> None:
    for these, those, other in ((base, table, run), (table, base, first)):
        missing = these.index.difference(those.index, sort=False)
        if len(missing):
            raise MedsegError(
                f"The runs {first} and {run} were scored on different cases: {_named(missing)} missing from {other}. "
                "Compare runs of one protocol, or score them again with 3_evaluate."
            )
    facts = ["group", "truth", "pixels"]
    different = base.index[(base[facts] != table.loc[base.index, facts]).any(axis=1)]
    if len(different):
        raise MedsegError(
            f"The runs {first} and {run} were scored against different truth: the group, the size or the number of "
            f"true pixels differs in {_named(different)}. Score both on the same prepared dataset."
        )


def _named(keys: pd.MultiIndex) -> str:
    named = [" / ".join(key) for key in keys[:10]]
    return ", ".join(named) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
