"""How far the order of the configurations can be trusted: ranks by other rules, on other test sets and under chance.

``metrics/ranking.py`` computes the ranks; all of it is about Dice.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from medseg.metrics import ranking
from medseg.metrics.ranking import RULES, Ranking
from medseg.reporting import ranking_figures, statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Column, Fragment, Parts, Table, numeric, sentence, signed, words

FEWEST = 3
_RULES = dict(zip(RULES, ("mean", "median", "case by case"), strict=True))


def page(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment | Parts:
    """Whether the order survives, with the ranks by every rule; every mean; every pair; the distribution of ranks.

    One sentence where there are fewer than :data:`FEWEST` configurations. Of very many, the best ones.

    Args:
        comparison: of scored runs.
        margin: see :func:`medseg.reporting.statistics.differences`.
    """
    if len(comparison.configurations) < FEWEST:
        return sentence("A ranking takes three configurations or more.")
    shown = _in_order(comparison.best)
    if not statistics.rankings(shown):
        return sentence("There is nothing to rank: no case has a Dice.")
    chosen, of = len(shown.configurations), len(comparison.configurations)
    note = f" The best {chosen} of {of} configurations, ranked among themselves." if chosen < of else ""
    return Parts(
        (
            table(shown, note),
            ranking_figures.forest(shown, note),
            ranking_figures.pairs(shown, margin, note, comparisons=of * (of - 1) // 2),
            ranking_figures.distribution(shown, note),
        )
    )


def table(comparison: Comparison, note: str = "") -> Fragment:
    """The rank of every configuration by every rule on every test set, and whether the order survives in words."""
    found = statistics.rankings(comparison)
    orders = _orders(found)
    agreed = ranking.consensus(orders.xs("mean", axis=1, level=1))
    columns = [Column(_RULES[rule].capitalize(), group=test_set) for test_set, rule in orders]
    several = len(found) > 1
    rows = []
    for c in comparison.configurations:
        cells = [Cell(c.name, note=c.details)]
        if several:
            entry = agreed.loc[c.label]
            borda = f"mean rank {entry['mean_rank']:.1f}\n{entry['borda']:g} points"
            cells.append(Cell(_place(entry["rank"], agreed["rank"]), entry["rank"], note=borda))
        cells += [Cell(_place(orders.loc[c.label, key], orders[key]), orders.loc[c.label, key]) for key in orders]
        rows.append(cells)
    notes = [
        "Rank by mean Dice, by median, and case by case: the mean of the ranks within each case. Two numbers: a place "
        "shared." + note
    ]
    if several:
        notes += [
            "Consensus: order of the mean rank, by mean Dice, over the test sets. Points: Borda's count, one for every "
            "configuration behind on a test set; it gives the same order."
        ]
    notes += [*statistics.empties(comparison), *statistics.lacking(comparison)]
    heading = words("Configuration") + (numeric("Consensus") if several else [])
    ranks, text = Table("Ranks", [*heading, *columns], rows, notes).fragment(), sentence(survives(found))
    return Fragment(text.html + ranks.html, f"{text.text}\n\n{ranks.text}")


def survives(found: Sequence[Ranking]) -> str:
    """Whether the order, or at least its first place, is the same by every rule and on every test set; in words."""
    orders = _orders(found)
    where = {1: "", 2: " on both test sets"}.get(len(found), f" on all {len(found)} test sets")
    what = f"by mean, by median and case by case{where}"
    taus = ranking.agreement(orders).to_numpy()[~np.eye(orders.shape[1], dtype=bool)]
    least = np.nanmin(taus) if np.isfinite(taus).any() else np.nan
    tau = f"Kendall's tau of the two orders that differ most is {signed(least, 2)} (1: the same, 0: unrelated)."
    leaders: dict[str, dict[str, list[str]]] = {}
    for test_set, rule in orders:
        name = " and ".join(ranking.first(orders[test_set, rule]))
        leaders.setdefault(name, {}).setdefault(test_set, []).append(_RULES[rule])
    if orders.nunique().max() == 1:
        return f"There is no order: all tie {what}."
    outcome = ranking.survival(orders)
    if outcome == ranking.EVERYWHERE:
        text = f"The order survives everywhere: it is the same {what}, with {next(iter(leaders))} first."
    elif outcome == ranking.FIRST_ONLY:
        text = f"First place survives, the rest of the order does not: {next(iter(leaders))} is first {what}, but the "
        text += f"places behind change. {tau}"
    else:
        listed = (
            f"{name} on " + " and ".join(f"{test_set} ({_ruled(rules)})" for test_set, rules in sets.items())
            for name, sets in leaders.items()
        )
        text = f"First place changes. First are: {'; '.join(listed)}. {tau}"
    kept = [
        f"{100 * r.shares.loc[list(ranking.first(r.ranks['mean'])), 1].max():.0f} % ({r.test_set})"
        for r in found
        if r.shares.notna().all(axis=None)
    ]
    if kept:
        text += " With patients or sequences drawn again, the first by mean stays first in this share of the draws: "
        text += f"{', '.join(kept)}."
    return text


def _in_order(comparison: Comparison) -> Comparison:
    """The same with the configurations in the order of the consensus."""
    if not (found := statistics.rankings(comparison)):
        return comparison
    rank = ranking.consensus(_orders(found).xs("mean", axis=1, level=1))["rank"]
    return replace(comparison, configurations=tuple(sorted(comparison.configurations, key=lambda c: rank[c.label])))


def _orders(found: Sequence[Ranking]) -> pd.DataFrame:
    """(configurations, (test set, rule)) ranks."""
    return pd.concat({r.test_set: r.ranks for r in found}, axis=1)


def _ruled(rules: Sequence[str]) -> str:
    return "every rule" if len(rules) == len(RULES) else ", ".join(rules)


def _place(rank: float, ranks: pd.Series) -> str:
    """A rank as it is read: ``2``; the first and the last of those that several share."""
    beside = (int((ranks == rank).sum()) - 1) / 2
    return f"{rank - beside:.0f}\u2013{rank + beside:.0f}" if beside else f"{rank:.0f}"
