"""How the scores spread over the cases: every case a dot, per configuration and paired with the best."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from medseg.evaluation.measures import named
from medseg.reporting import statistics, style
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure

_ROW, _LINE = 34, 13  # CSS pixels per configuration, which has room for two lines, and of each further line
_LETTERS = 38  # of a line of a name
PANELS_PER_ROW = 3


def scores(comparison: Comparison, metric: str = "dice") -> Figure:
    """A measure of every case: a dot each, box of the quartiles, and the mean; a panel per test set."""
    measure, described, shown = named(metric), [], comparison.best
    with style.canvas(height(shown)) as figure:
        for axes, test_set in panels(figure, shown):
            for c in shown.configurations:
                values = c.pooled(test_set)[metric].dropna().to_numpy()
                if len(values) == 0:
                    continue
                _dots(axes, c.number, values, c.colour)
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
                axes.barh(c.number, high - low, 0.5, low, facecolor="none", edgecolor=style.INK, linewidth=1)
                axes.plot([middle, middle], [c.number - 0.25, c.number + 0.25], color=style.INK, linewidth=1.8)
                diamond(axes, c.number, values.mean())
                described.append(f"{c.label} on {test_set} median {middle:.2f}")
            axes.set_title(test_set)
            if measure.high <= 1:
                axes.set_xlim(-0.03, 1.03)
            axes.set_xlabel(measure.heading)
        caption = f"{measure.title} of every test case. Box: quartiles and median. Diamond: mean."
        if any(len(c.seeds) > 1 for c in shown.configurations):
            caption += " The seeds of a configuration are shown together."
        caption += comparison.cut
        return style.finish(figure, caption, f"{measure.title} per case: {'; '.join(described)}.")


def paired(comparison: Comparison, metric: str = "dice") -> Figure:
    """Difference in a measure to the best configuration, case by case, with its mean and 95 % interval."""
    measure = named(metric)
    found = statistics.differences(comparison, metric)
    shown = comparison.best
    by_label = {c.label: c for c in shown.configurations}
    described = []
    with style.canvas(height(shown)) as figure:
        for axes, test_set in panels(figure, shown):
            axes.axvline(0, color=style.MUTED, linewidth=1, zorder=1)
            rows = found[(found["test_set"] == test_set) & found["run"].isin(by_label)]
            for row in rows.itertuples():
                c = by_label[row.run]
                values = statistics.case_differences(comparison, row.run, row.reference, test_set, metric)
                _dots(axes, c.number, values, c.colour)
                if row.low == row.low:
                    axes.plot([row.low, row.high], [c.number] * 2, color=style.INK, linewidth=2.4, zorder=4)
                diamond(axes, c.number, row.difference)
                described.append(f"{c.label} on {test_set} {row.difference:+.3f}")
            for label in set(rows["reference"]) & set(by_label):
                axes.annotate(
                    "best", (0, by_label[label].number), (7, 0), textcoords="offset points", va="center", weight="bold"
                )
            axes.set_title(test_set)
            axes.set_xlabel(f"Difference in {measure.heading}")
        side = "right" if measure.lower_is_better else "left"
        caption = (
            f"Difference in {measure.title} to the best configuration, case by case; {side} of the line the best one "
            f"does better. Diamond and bar: mean and 95 % interval.{comparison.cut}"
        )
        return style.finish(figure, caption, f"Mean paired differences: {'; '.join(described) or 'none'}.")


def height(comparison: Comparison, per_row: int = PANELS_PER_ROW) -> float:
    """CSS pixels that :func:`panels` take."""
    most = max(name.count("\n") for name in names(comparison))
    row = _ROW + _LINE * max(0, most - 1)
    return math.ceil(len(comparison.test_sets) / per_row) * (len(comparison.configurations) * row + 80)


def names(comparison: Comparison, numbered: bool = False) -> list[str]:
    """Name and details of every configuration for its row, in short lines; ``numbered`` from 1."""
    numbers = [f"  {i}" if numbered else "" for i, _ in enumerate(comparison.configurations, 1)]
    return [
        style.in_lines(f"{c.name}{number}", c.details, letters=_LETTERS)
        for c, number in zip(comparison.configurations, numbers, strict=True)
    ]


def panels(figure: Canvas, comparison: Comparison, per_row: int = PANELS_PER_ROW) -> list[tuple[Axes, str]]:
    """A panel per test set; every configuration has its row, from 0 in their order, named at the left."""
    test_sets = comparison.test_sets
    columns = min(len(test_sets), per_row)
    grid = figure.subplots(math.ceil(len(test_sets) / columns), columns, sharex=True, sharey=True, squeeze=False)
    if layout := figure.get_layout_engine():
        layout.set(**{"wspace": 0.06})
    for axes in grid.ravel():
        style.plain(axes, grid="x")
        axes.tick_params(labelbottom=True)
        axes.set_ylim(len(comparison.configurations) - 0.5, -0.5)
    for axes in grid.ravel()[len(test_sets) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(comparison.configurations)), names(comparison))
        axes.tick_params(axis="y", labelcolor=style.INK, labelsize=9)
    return list(zip(grid.ravel(), test_sets, strict=False))


def _dots(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    size = 16 if len(values) <= 100 else 6
    axes.scatter(values, place + 0.5 * style.scattered(len(values)), size, colour, alpha=0.5, linewidths=0, zorder=2)


def diamond(axes: Axes, place: int, value: float, fill: str = style.PAPER) -> None:
    """A mean."""
    axes.plot(value, place, "D", color=style.INK, markerfacecolor=fill, markersize=5.5, zorder=5)
