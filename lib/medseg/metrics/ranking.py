"""How far an order of runs can be trusted: ranks under chance, under other rules and on other test sets.

After Maier-Hein et al. 2018 (Nat. Commun. 9:5217) and Wiesenfarth et al. 2021 (Sci. Rep. 11:2369). Cases are aligned as
in :mod:`medseg.metrics.paired`, over all runs together: a case of which no training has a value is left out, and a
missing value among others counts as perfect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from medseg.metrics.cluster_bootstrap import FEW_GROUPS, group_draws
from medseg.metrics.paired import Paired, Scored, Trainings

#: Rules of order: mean of the cases, their median, and mean of the ranks within each case (rank then aggregate).
RULES = ("mean", "median", "cases")
EVERYWHERE, FIRST_ONLY, CHANGES = "everywhere", "first only", "changes"
_DIGITS = 10  # beyond which a difference is one of rounding


@dataclass(frozen=True, eq=False)
class Ranking:
    """The runs in order on one test set.

    Attributes:
        test_set: its name.
        ranks: (runs, :data:`RULES`) float64. 1 is best; tied runs have the mean of the ranks that they take up.
        shares: (runs, ranks from 1) float64: in which share of the draws a run has a rank. Runs tied in a draw have an
            equal part of each rank that they take up: rows and columns sum to 1. NaN for fewer than
            :data:`FEW_GROUPS` groups.
        draws: their number.
        n_groups: patients or sequences.
    """

    test_set: str
    ranks: pd.DataFrame
    shares: pd.DataFrame
    draws: int
    n_groups: int


def rankings(
    cases_by_run: Mapping[str, Trainings] | Paired,
    *,
    metric: str = "dice",
    lower_is_better: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    draws: int = 4999,
) -> list[Ranking]:
    """The order of the runs by every rule, and the ranks by mean when groups and trainings are drawn again.

    A draw takes whole groups with replacement, the same ones for all runs; and of every run that has several trainings,
    trainings with replacement. Of both it takes one less than there are, so that the variance of a mean is unbiased
    (Rao and Wu 1988, JASA 83:231). The same cases give the same result.

    Args:
        cases_by_run, metric, lower_is_better, bounds: as for :func:`medseg.metrics.compare.compare_runs`.
        draws: their number; fewer where there are very many groups.

    Returns:
        One for each test set; none for a test set of which no case has a value.

    Raises:
        MedsegError: as :func:`medseg.metrics.compare.compare_runs`.
    """
    found = []
    for test_set, scored in Paired.of(cases_by_run).by_test_set(metric, lower_is_better, bounds):
        kept, sides = scored.kept(*scored.runs)
        if kept.any():
            found.append(_ranking(test_set, scored, scored.groups[kept], sides, draws))
    return found


def consensus(ranks: pd.DataFrame) -> pd.DataFrame:
    """One order out of the orders ``ranks``, (runs, orders).

    Borda's count gives a run a point for each run behind it in each order, half a point for one beside it; it orders
    the runs as their mean rank does.

    Returns:
        A row for each run: mean_rank, borda (points) and rank (of the mean rank; tied runs have their mean).
    """
    mean, points = ranks.mean(axis=1), (len(ranks) - ranks).sum(axis=1)
    return pd.DataFrame({"mean_rank": mean, "borda": points, "rank": _ranks(mean)})


def agreement(ranks: pd.DataFrame) -> pd.DataFrame:
    """(orders, orders): Kendall's tau-b of each two of the orders ``ranks``, (runs, orders); NaN where all tie."""
    order = ranks.to_numpy()
    signs = np.sign(order[:, None] - order[None]).reshape(-1, order.shape[1])  # (pairs of runs, orders)
    agreed, untied = signs.T @ signs, np.abs(signs).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(agreed / np.sqrt(np.outer(untied, untied)), ranks.columns, ranks.columns)


def first(ranks: pd.Series) -> tuple[str, ...]:
    """The run of the best rank; all of them where they tie."""
    return tuple(ranks.index[ranks == ranks.min()])


def survival(ranks: pd.DataFrame) -> str:
    """What the orders ``ranks``, (runs, orders), have in common.

    :data:`EVERYWHERE`: all are the same. :data:`FIRST_ONLY`: the same run, or the same tied runs, come first in all.
    :data:`CHANGES`: not even that.
    """
    if ranks.eq(ranks.iloc[:, 0], axis=0).all(axis=None):
        return EVERYWHERE
    return FIRST_ONLY if len({first(ranks[order]) for order in ranks}) == 1 else CHANGES


def _ranking(test_set: str, scored: Scored, groups: np.ndarray, sides: list[np.ndarray], draws: int) -> Ranking:
    sign = 1 if scored.lower else -1
    values = np.column_stack([side.mean(axis=1) for side in sides])  # (cases, runs)
    rules = {"mean": _ranks(sign * values.mean(axis=0)), "median": _ranks(sign * np.median(values, axis=0))}
    rules["cases"] = _ranks(_ranks(sign * values).mean(axis=0))
    codes, names = pd.factorize(groups)
    size, runs = len(names), scored.runs
    shares = np.full((len(runs), len(runs)), np.nan)
    if size >= FEW_GROUPS:
        means = _drawn_means(sides, codes, size, draws)
        shares, draws = _shares(sign * means), len(means)
    table = pd.DataFrame(shares, index=runs, columns=range(1, len(runs) + 1))
    return Ranking(test_set, pd.DataFrame(rules, index=runs)[list(RULES)], table, draws, size)


def _drawn_means(sides: list[np.ndarray], codes: np.ndarray, size: int, draws: int) -> np.ndarray:
    """(draws, runs): the mean of every run in each draw of groups and trainings."""
    rng = np.random.default_rng(0)
    drawn = group_draws(rng, size, draws)
    total = drawn @ np.bincount(codes, minlength=size)
    means = []
    for side in sides:
        sums = np.column_stack([np.bincount(codes, values, size) for values in side.T])  # (groups, trainings)
        trainings = side.shape[1]
        taken = rng.multinomial(trainings - 1, np.full(trainings, 1 / trainings), len(drawn)) if trainings > 1 else 1
        means.append((drawn @ sums * taken).sum(axis=1) / total / max(trainings - 1, 1))
    return np.column_stack(means)


def _shares(badness: np.ndarray) -> np.ndarray:
    """(runs, ranks): from (draws, runs) of which the least is best."""
    low, high = _ranks(badness, "min"), _ranks(badness, "max")
    ranks = range(1, badness.shape[1] + 1)
    return np.column_stack([np.mean(((low <= r) & (r <= high)) / (high - low + 1), axis=0) for r in ranks])


def _ranks(badness: np.ndarray | pd.Series, ties: Literal["average", "min", "max"] = "average") -> np.ndarray:
    """Ranks along the last axis, 1 for the least."""
    table = pd.DataFrame(np.atleast_2d(np.round(badness, _DIGITS)))
    return table.rank(axis=1, method=ties).to_numpy().reshape(np.shape(badness))
