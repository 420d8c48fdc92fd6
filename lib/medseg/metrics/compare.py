"""Whether runs differ: paired statistics over the cases that they were all scored on.

Cases of one patient or video sequence resemble each other, so that the group, not the case, is the unit of chance: the
bootstrap draws whole groups, and the signed ranks are those of the groups' mean differences.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from medseg.errors import MedsegError
from medseg.metrics.overlap import COUNTS

KEY = ["test_set", "case_id", "class"]
FEW_GROUPS = 6  # below it, the smallest two-sided p of the signed-rank test is 2 / 2^5 > 0.05
ALPHA = 0.05
COLUMNS = (
    "test_set",
    "run",
    "reference",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "n",
    "n_groups",
    "distinguishable",
    "note",
)


def paired_bootstrap(
    differences: ArrayLike,
    groups: ArrayLike,
    *,
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean of paired differences and its percentile interval when whole groups are drawn with replacement.

    The cluster bootstrap of Field and Welsh (2007, J. R. Stat. Soc. B 69:369). It is too narrow for few groups.

    Args:
        differences: (n,), finite.
        groups: n patients or sequences.
        samples: number of bootstrap samples.
        confidence: coverage in (0, 1).
        seed: of the drawing; the same seed gives the same interval.

    Returns:
        Mean, lower and upper bound. The bounds are NaN for one group, all three for no difference at all.
    """
    differences = np.asarray(differences, float)
    if differences.size == 0:
        return float("nan"), float("nan"), float("nan")
    sums, sizes = _group_sums(differences, groups)
    if len(sums) == 1:
        return float(differences.mean()), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(sums), size=(samples, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(differences.mean()), float(low), float(high)


def signed_rank_p(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test that the differences are symmetric about 0.

    Zeros are dropped (Wilcoxon 1945). The distribution is exact up to 50 differences without ties and up to 13 with
    ties, normal with correction for ties beyond (``method="auto"`` of :func:`scipy.stats.wilcoxon`). The differences
    are rounded to 12 decimals before, so that equal ones tie.

    Returns:
        p in (0, 1]; 1 where no difference is left.
    """
    rounded = np.round(np.asarray(differences, float), 12)
    nonzero = rounded[rounded != 0]
    if nonzero.size == 0:
        return 1.0
    return float(stats.wilcoxon(nonzero, method="auto").pvalue)


def holm(p_values: Iterable[float], comparisons: int | None = None) -> np.ndarray:
    """p values adjusted for a family of comparisons by Holm's step-down method (1979, Scand. J. Stat. 6:65).

    Args:
        p_values: raw p values.
        comparisons: size of the family where it is larger than the number of ``p_values``; these are then taken for
            its smallest, which errs on the safe side.

    Returns:
        float64 adjusted p values in the order given, at most 1.
    """
    p_values = np.asarray(list(p_values), float)
    size = len(p_values) if comparisons is None else comparisons
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate((size - np.arange(len(p_values))) * p_values[order])
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def compare_runs(
    cases_by_run: Mapping[str, pd.DataFrame],
    *,
    metric: str = "dice",
    reference: str | None = None,
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> pd.DataFrame:
    """Compare every run with the best one, or with ``reference``, on each test set.

    Cases are paired on case and class. A pair in which both values are NaN (nothing there, nothing predicted) is left
    out; where one is NaN, that run rightly predicted nothing while the other made a false positive, and the NaN
    counts as the best value there is: 1 for Dice, 0 for a distance.

    A run is *distinguishable* when its bootstrap interval excludes 0 and its Holm-adjusted p is below 0.05. The family
    is the comparisons on one test set: with the runs' number k, k - 1 against a reference named beforehand, but all
    k (k - 1) / 2 pairs against the best run, because the best is picked by looking at the results.

    Args:
        cases_by_run: for each run its ``cases.csv``, with measures.
        metric: column of a measure; see :mod:`medseg.evaluation.measures`.
        reference: run to compare with; None takes the run of best mean on each test set.
        lower_is_better: of two values of the metric.
        bounds: least and greatest value that the metric can have; the better of the two is perfect and is finite.

    Returns:
        One row per test set and run other than the reference: difference (mean of run minus reference over the n
        pairs), low and high (95 % interval, see :func:`paired_bootstrap`), p (see :func:`signed_rank_p`, over the mean
        differences of the groups), p_holm, n, n_groups, distinguishable, and note: what to be wary of, else empty.

    Raises:
        MedsegError: an unknown reference, a missing column, a case that is there twice, or runs scored on different
            cases or against different truth.
    """
    if reference is not None and reference not in cases_by_run:
        raise MedsegError(f"There is no run {reference!r} to compare with. Choose one of: {', '.join(cases_by_run)}.")
    if not cases_by_run:
        return pd.DataFrame(columns=COLUMNS)
    tables = {run: _keyed(run, cases, metric, bounds) for run, cases in cases_by_run.items()}
    first, base = next(iter(tables.items()))
    for run, table in tables.items():
        _check_same_cases(first, base, run, table)
    scores = pd.DataFrame({run: table[metric] for run, table in tables.items()}, index=base.index)
    rows, perfect = [], bounds[0] if lower_is_better else bounds[1]
    for test_set, part in scores.groupby(level="test_set", sort=False):
        means = part.mean() * (-1 if lower_is_better else 1)
        best = reference or str(part.columns[int(np.argmax(means.fillna(-np.inf)))])
        rows += _compare_on(str(test_set), part, base["group"].loc[part.index], best, perfect, reference is not None)
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare_on(
    test_set: str, scores: pd.DataFrame, groups: pd.Series, best: str, perfect: float, named_beforehand: bool
) -> list[dict]:
    """The rows of one test set, against ``best``; ``scores`` has a column per run, ``groups`` the same index."""
    runs = list(scores.columns)
    rows = []
    for run in runs:
        if run == best:
            continue
        empty = scores[[run, best]].isna()
        kept = ~empty.all(axis=1)
        differences = (scores[run].fillna(perfect) - scores[best].fillna(perfect))[kept].to_numpy()
        kept_groups = groups[kept].to_numpy()
        sums, sizes = _group_sums(differences, kept_groups)
        mean, low, high = paired_bootstrap(differences, kept_groups)
        one_sided = int(empty[kept].any(axis=1).sum())
        notes = [
            (len(sums) == 0, "no case was scored"),
            (0 < len(sums) < FEW_GROUPS, f"only {len(sums)} group(s): too few for a reliable interval or a small p"),
            (one_sided > 0, f"{one_sided} pair(s) with empty truth where only one of the two predicted something"),
        ]
        rows.append(
            {
                "test_set": test_set,
                "run": run,
                "reference": best,
                "difference": mean,
                "low": low,
                "high": high,
                "p": signed_rank_p(sums / sizes),
                "n": len(differences),
                "n_groups": len(sums),
                "note": "; ".join(text for applies, text in notes if applies),
            }
        )
    family = len(rows) if named_beforehand else len(runs) * (len(runs) - 1) // 2
    for row, adjusted in zip(rows, holm([row["p"] for row in rows], family), strict=True):
        row["p_holm"] = float(adjusted)
        row["distinguishable"] = bool((row["low"] > 0 or row["high"] < 0) and adjusted < ALPHA)
    return rows


def _group_sums(differences: np.ndarray, groups: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the differences of each group."""
    codes, names = pd.factorize(np.asarray(groups, dtype=object))
    return np.bincount(codes, differences, len(names)), np.bincount(codes, minlength=len(names))


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
