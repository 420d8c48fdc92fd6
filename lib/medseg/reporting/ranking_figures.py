"""Pictures of an order of configurations: means with intervals, verdicts on all pairs, ranks under chance.

Configurations stand in the order of the comparison, numbered from 1; all of it is about Dice.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from medseg.metrics.compare import BETTER, EQUIVALENT, UNSETTLED, WORSE
from medseg.reporting import statistics, style
from medseg.reporting.comparison import Comparison
from medseg.reporting.distributions import diamond, height, names, panels
from medseg.reporting.fragments import Figure, Fragment, sentence, signed

_PER_ROW = 2  # test sets beside each other, where every rank or rival takes a column
_ROOM = 8  # configurations up to which a cell of the map has room for a number

#: Of a verdict: sign, colour of the cell, colour of the sign. They differ in lightness, so that print without colour
#: keeps them apart; the signs ≈ and ? are those of the tables.
_VERDICTS = {
    BETTER: ("\u25b2", "#0072b2", style.PAPER),
    WORSE: ("\u25bc", "#f0b04f", style.INK),
    EQUIVALENT: ("\u2248", "#d5d9de", style.INK),
    UNSETTLED: ("?", "#f6f7f8", style.MUTED),
}
_MEANINGS = {
    BETTER: "better: the row beats the column",
    WORSE: "worse: the column beats the row",
    EQUIVALENT: "equivalent",
    UNSETTLED: "not settled",
}
_TOLD = {BETTER: "better than", WORSE: "worse than", EQUIVALENT: "equivalent to", UNSETTLED: "not told from"}
_SHADES = LinearSegmentedColormap.from_list("shares", ["#f6f7f8", "#0072b2"])


def forest(comparison: Comparison, note: str = "") -> Figure:
    """Mean Dice of every configuration with its 95 % interval, a panel per test set."""
    average = statistics.means(comparison).set_index(["test_set", "run"])
    described = []
    with style.canvas(height(comparison)) as figure:
        for axes, test_set in panels(figure, comparison):
            for place, c in enumerate(comparison.configurations):
                entry = average.loc[(test_set, c.label)]
                known = np.isfinite([entry["low"], entry["high"]]).all()
                sure = known and not entry["doubt"]
                if known:
                    axes.plot([entry["low"], entry["high"]], [place] * 2, "-" if sure else "--", color=style.INK)
                diamond(axes, place, entry["mean"], c.colour if sure else style.PAPER)
                if entry["mean"] == entry["mean"]:
                    axes.annotate(
                        f"{entry['mean']:.3f}", (entry["mean"], place), (0, 6), textcoords="offset points",
                        ha="center", fontsize=7.5, color=style.MUTED,
                    )  # fmt: skip
                within = statistics.interval(entry) or "no interval"
                described.append(f"{c.label} on {test_set} {entry['mean']:.3f}, {within}")
            axes.set_title(test_set)
            axes.set_xlabel("mean Dice")
        caption = (
            "Mean Dice with its 95 % interval. Hollow and dashed, or without a bar: the patients or sequences are too "
            "few or too unequal to rely on the interval. Overlapping bars do not mean equal: the cases are the same, "
            f"and the next figure compares them pair by pair.{note}"
        )
        return style.finish(figure, caption, f"Mean Dice: {'; '.join(described)}.")


def pairs(
    comparison: Comparison, margin: float = statistics.MARGIN, note: str = "", comparisons: int | None = None
) -> Figure:
    """A map of every configuration against every other: the verdict on their difference in Dice.

    Args:
        comparison: of scored runs.
        margin: see :func:`medseg.reporting.statistics.differences`.
        note: end of the caption.
        comparisons: size of the family of tests; None: the pairs that are shown.
    """
    found = statistics.verdicts(statistics.pairs(comparison, "dice", margin, comparisons))
    labels = [c.label for c in comparison.configurations]
    described, count = [], len(labels)
    with style.canvas(height(comparison, _PER_ROW) + 30, _width(comparison)) as figure:
        for axes, test_set in _squares(figure, comparison):
            axes.set_yticks(range(count), names(comparison, numbered=True))  # rows bear the number of their column
            cells: dict[tuple[int, int], Any] = {}
            for i, row in enumerate(labels):
                own = []
                for j, column in enumerate(labels):
                    if row == column:
                        continue
                    verdict, difference = found[test_set, row, column]
                    sign, ground, ink = _VERDICTS[verdict]
                    own.append(verdict)
                    cells[j, i] = ground
                    apart = f"\n{signed(difference)}" if count <= _ROOM else ""
                    _write(axes, j, i, sign + apart, ink)
                told = [f"{_TOLD[name]} {n}" for name in _VERDICTS if (n := own.count(name))]
                described.append(f"{row} on {test_set} is {', '.join(told)}")
            _fill(axes, cells)
            axes.set_title(test_set)
        handles = [
            Patch(facecolor=ground, edgecolor=style.FAINT, label=f"{sign} {_MEANINGS[verdict]}")
            for verdict, (sign, ground, _) in _VERDICTS.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
        caption = (
            "Each configuration (row) against each other one (column, by its number). Verdicts on paired differences "
            f"in Dice as in the table above: 95 % interval, p corrected by Holm for all pairs, margin ±{margin:g}. Not "
            f"settled does not mean equal.{' Number: difference in Dice.' if count <= _ROOM else ''}{note}"
        )
        return style.finish(figure, caption, f"Verdicts on all pairs: {'; '.join(described)}.")


def distribution(comparison: Comparison, note: str = "") -> Figure | Fragment:
    """How often every configuration takes every rank when groups and trainings are drawn again.

    A sentence where all test sets have too few groups.
    """
    found = {r.test_set: r for r in statistics.rankings(comparison)}
    drawn = {test_set for test_set, r in found.items() if r.shares.notna().all(axis=None)}
    if not drawn:
        most = max(r.n_groups for r in found.values())
        return sentence(f"How ranks vary by chance cannot be said: {most} patients or sequences are too few.")
    described = []
    with style.canvas(height(comparison, _PER_ROW), _width(comparison)) as figure:
        for axes, test_set in _squares(figure, comparison):
            axes.set_title(test_set)
            axes.set_xlabel("rank")
            if test_set not in drawn:
                few = "too few patients or sequences\nto draw them again"
                axes.text(0.5, 0.5, few, transform=axes.transAxes, ha="center", va="center", color=style.MUTED)
                continue
            cells: dict[tuple[int, int], Any] = {}
            for place, c in enumerate(comparison.configurations):
                own = found[test_set].shares.loc[c.label].to_numpy()
                for j, share in enumerate(own):
                    cells[j, place] = _SHADES(float(share))
                    if share >= 0.005:
                        ink = style.PAPER if share > 0.65 else style.INK
                        _write(axes, j, place, f"{100 * share:.0f}", ink)
                described.append(f"{c.label} on {test_set} first in {100 * own[0]:.0f} %")
            _fill(axes, cells)
        trainings = ", and trainings," if any(len(c.cases) > 1 for c in comparison.configurations) else ""
        most = max(r.draws for r in found.values())
        doubt = (
            " Not to be relied on where means are drawn hollow." if any(statistics.means(comparison)["doubt"]) else ""
        )
        caption = (
            f"In how many of 100 draws a configuration takes each rank by mean Dice, when patients or sequences"
            f"{trainings} are drawn again ({most:,} draws). One strong cell in a row: a rank that other patients would "
            f"hardly change. Empty: fewer than 1 in 200. A shared rank counts in parts.{doubt}{note}"
        )
        return style.finish(figure, caption, f"Ranks in redrawn data: {'; '.join(described) or 'none'}.")


def _squares(figure: Canvas, comparison: Comparison) -> list[tuple[Axes, str]]:
    """Panels with as many columns as rows, numbered from 1."""
    size, found = len(comparison.configurations), panels(figure, comparison, _PER_ROW)
    for axes, _ in found:
        axes.grid(False)
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_xticks(range(size), [str(number) for number in range(1, size + 1)])
    return found


def _width(comparison: Comparison) -> float:
    """CSS pixels; the cells of a single small panel would be bars."""
    return style.WIDTH if len(comparison.test_sets) > 1 or len(comparison.configurations) > _ROOM else 720


def _fill(axes: Axes, cells: Mapping[tuple[int, int], Any]) -> None:
    """Colour the cells, by column and row: all of them at once, which is much faster than one by one."""
    corners = np.array([(-0.47, -0.46), (0.47, -0.46), (0.47, 0.46), (-0.47, 0.46)])
    squares = [corners + place for place in cells]
    axes.add_collection(PolyCollection(squares, facecolors=list(cells.values()), linewidths=0)).set_in_layout(False)


def _write(axes: Axes, column: int, row: int, text: str, ink: str) -> None:
    written = axes.text(column, row, text, color=ink, ha="center", va="center", fontsize=8, linespacing=1.1)
    written.set_in_layout(False)  # it lies within the axes: nobody has to make room for it
