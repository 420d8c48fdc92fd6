"""Quality against cost: the mean Dice of every configuration over its GMACs and over its time for a picture."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from medseg.metrics.compare import BETTER
from medseg.names import joined
from medseg.reporting import costs, labels, statistics, style
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Figure, Fragment, Parts, sentence
from medseg.reporting.fronts import TIME_TOLERANCE, Front, front, told

_NAMED = 8  # configurations up to which their names stand beside the points, else their numbers
_LETTERS = 22  # of a line of a name
_ROW = 300  # CSS pixels of a panel
_SIGN, _LETTER = 60, 6.5  # CSS pixels of a line of the legend: its sign and number, and each letter
_WIDE = 6.0  # times the lowest cost from which on the axis is logarithmic


class _Axis(NamedTuple):
    """A cost: what it is called, its unit, what it is of every configuration that can be drawn."""

    name: str
    title: str
    values: Mapping[str, float]
    tolerance: float


def page(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment | Parts:
    """The front of every test set in words, the table of costs, and the chart; one sentence where none was measured.

    Args:
        comparison: of scored runs.
        margin: see :func:`medseg.reporting.statistics.differences`.
    """
    found = costs.of(comparison)
    if not found:
        return sentence("Speed and size were not measured for these runs; run 3_evaluate on them again.")
    drawn = {label: cost for label, cost in found.items() if cost.passes is not None}
    gmacs = {label: cost.gmacs for label, cost in drawn.items() if cost.gmacs is not None}
    times = {label: cost.ms for label, cost in drawn.items() if cost.comparable}
    every = (
        _Axis("GMACs", "GMACs a picture", gmacs, 0.0),
        _Axis("time", "ms a picture, one at a time", times, TIME_TOLERANCE),
    )
    shown = [axis for axis in every if len(axis.values) > 1 and _differ(axis)]
    apart = _apart(comparison, found)
    if not shown:
        same = "All configurations cost the same: there is nothing to weigh."
        few = "To weigh quality against cost takes two configurations or more of known cost."
        said = [same if len(drawn) > 1 else few, *apart]
        return Parts((sentence(" ".join(said)), costs.table(comparison)))
    fronts = {
        (test_set, axis.name): front(comparison, test_set, axis.values, tolerance=axis.tolerance, margin=margin)
        for test_set in comparison.test_sets
        for axis in shown
    }
    said = [text for test_set in comparison.test_sets for text in _told(test_set, fronts, shown)]
    words = [sentence(text) for text in (*said, *apart)]
    text = Fragment("".join(part.html for part in words), "\n".join(part.text for part in words))
    return Parts((text, costs.table(comparison), _figure(comparison, shown, fronts, margin)))


def _figure(
    comparison: Comparison, shown: list[_Axis], fronts: Mapping[tuple[str, str], Front], margin: float
) -> Figure:
    average = statistics.means(comparison).set_index(["test_set", "run"])
    numbered = len(comparison.configurations) > _NAMED
    described, test_sets = [], comparison.test_sets
    every = {label for found in fronts.values() for label in found.labels}
    weighed = [c for c in comparison.configurations if any(c.label in axis.values for axis in shown)]
    told = [c for c in weighed if c in comparison.best.configurations or c.label in every]
    width = style.WIDTH if len(shown) > 1 else 620
    across = min(3, max(1, int(width / (_SIGN + _LETTER * max(len(c.label) for c in told)))))
    legend = 24 * (-(-len(told) // across)) if numbered else 0
    with style.canvas(_ROW * len(test_sets) + 30 + legend, width) as figure:
        grid = figure.subplots(len(test_sets), len(shown), squeeze=False)
        if numbered:
            handles = [Line2D([], [], linestyle="", marker="o", color=c.colour, label=f"{c.number + 1}  {c.label}")
                       for c in told]  # fmt: skip
            figure.legend(handles=handles, loc="outside lower left", ncols=across)
        panels = [
            (grid[row, column], test_set, axis)
            for row, test_set in enumerate(test_sets)
            for column, axis in enumerate(shown)
        ]
        lines = []
        for axes, test_set, axis in panels:
            known = _known(comparison.configurations, test_set, axis, average)
            lines.append(_panel(axes, known, told, test_set, axis, fronts[test_set, axis.name], average))
        for axes in grid[:, 0]:
            axes.set_ylabel("mean Dice")
        for (axes, test_set, axis), drawn in zip(panels, lines, strict=True):
            known = _known(told, test_set, axis, average)
            names = [str(c.number + 1) if numbered else _lines(c) for c, *_ in known]
            at, colours = [(x, mean) for _, x, mean in known], [c.colour for c, *_ in known]
            labels.place(figure, axes, at, names, colours, drawn)
            points = "; ".join(f"{c.label} {x:.3g}, Dice {mean:.3f}" for c, x, mean in known)
            on = joined(fronts[test_set, axis.name].labels)
            described.append(f"{axis.title} on {test_set}: {points}; on the front {on}")
        caption = (
            "Mean Dice with its 95 % interval against what a picture costs; up and to the left is better. Hollow and "
            "dashed, or without a bar: the interval is not to be relied on. Line: the front, those than which none "
            "costs as little and has a higher mean Dice. Its solid steps are better by the paired statistics (p "
            f"corrected by Holm for all pairs); over a dashed step the two are equivalent (within ±{margin:g}) or not "
            "told apart, and the cheaper one may be as good."
        )
        if any(axis.tolerance for axis in shown):
            caption += f" Times within {100 * TIME_TOLERANCE:.0f} % count as the same."
        if comparison.cut:
            caption += f"{comparison.cut[:-1]} and those on a front; the others are faint dots."
        return style.finish(figure, caption, f"{'. '.join(described)}.")


def _known(
    configurations: Sequence[Configuration], test_set: str, axis: _Axis, average: pd.DataFrame
) -> list[tuple[Configuration, float, float]]:
    """The configurations that have a cost and a mean, with both."""
    costly = [c for c in configurations if c.label in axis.values]
    found = [(c, axis.values[c.label], float(average.loc[(test_set, c.label), "mean"])) for c in costly]
    return [entry for entry in found if np.isfinite(entry[-1])]


def _panel(
    axes: Axes,
    known: Sequence[tuple[Configuration, float, float]],
    told: Sequence[Configuration],
    test_set: str,
    axis: _Axis,
    found: Front,
    average: pd.DataFrame,
) -> list[labels.Line]:
    """Draw a test set against a cost, those that are not ``told`` faint; returns the lines that were drawn."""
    style.plain(axes, grid="both")
    axes.tick_params(which="minor", length=0)
    if max(axis.values.values()) > _WIDE * min(axis.values.values()):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    points = {c.label: (x, mean) for c, x, mean in known}
    lines: list[labels.Line] = []
    for pair, verdict in zip(pairwise(found.labels), found.verdicts, strict=True):
        lines.append([points[label] for label in pair])
        step = "-" if verdict == BETTER else (0, (4, 3))
        axes.plot(*zip(*lines[-1], strict=True), linestyle=step, color=style.MUTED, linewidth=1.4, zorder=2)
    others = [(x, mean) for c, x, mean in known if c not in told]
    axes.plot(*np.reshape(others, (-1, 2)).T, "o", color=style.FAINT, markersize=4, zorder=1)
    for c, x, mean in known:
        if c not in told:
            continue
        entry = average.loc[(test_set, c.label)]
        bounded = np.isfinite([entry["low"], entry["high"]]).all()
        sure = bounded and not entry["doubt"]
        if bounded:
            lines.append([(x, entry["low"]), (x, entry["high"])])
            bar = "-" if sure else "--"
            axes.plot(*zip(*lines[-1], strict=True), bar, color=c.colour, linewidth=1.1, alpha=0.7, zorder=3)
        fill = c.colour if sure else style.PAPER
        axes.plot(x, mean, "o", color=c.colour, markerfacecolor=fill, markersize=6.5, zorder=4)
    axes.margins(0.2, 0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.05), min(high, 1.05))
    axes.set_title(test_set)
    axes.set_xlabel(axis.title)
    return lines


def _lines(configuration: Configuration) -> str:
    """Name and details in short lines."""
    return style.in_lines(configuration.name, configuration.details, letters=_LETTERS)


def _told(test_set: str, fronts: Mapping[tuple[str, str], Front], shown: list[_Axis]) -> list[str]:
    """The fronts of a test set; once, where they are the same by every cost."""
    own = [fronts[test_set, axis.name] for axis in shown]
    if len(own) > 1 and len(set(own)) == 1:
        return [told(own[0], f"{test_set}, by GMACs as by time")]
    return [told(entry, f"{test_set}, by {axis.name}") for entry, axis in zip(own, shown, strict=True)]


def _apart(comparison: Comparison, found: Mapping[str, costs.Cost]) -> list[str]:
    """Which configurations the chart leaves out, and why."""
    unknown = [c.label for c in comparison.configurations if c.label not in found]
    several = [label for label, cost in found.items() if cost.passes is None]
    untimed = [label for label, cost in found.items() if cost.passes is not None and not cost.comparable]
    said = []
    if unknown:
        said.append(f"Not drawn, because the cost is not known: {joined(unknown)}.")
    if several:
        said.append(f"Not drawn, because a picture takes several passes of another size or number: {joined(several)}.")
    if untimed:
        said.append(f"Without a time, because it was taken elsewhere or on a busy machine: {joined(untimed)}.")
    return said


def _differ(axis: _Axis) -> bool:
    low, high = min(axis.values.values()), max(axis.values.values())
    return high > low * (1 + axis.tolerance)
