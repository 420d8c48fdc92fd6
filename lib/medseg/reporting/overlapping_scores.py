"""Where the errors are: scores class by class, and the area that was missed or invented of each."""

import pandas as pd

from medseg.reporting import boundaries, measure_table, statistics, style
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Cell, Figure, Fragment, Table, capital, number, numeric, words

_ROW = 17  # CSS pixels per class
_WORST = 10


def scores(comparison: Comparison) -> Figure:
    """Mean Dice of every class, a dot per configuration, a panel per test set."""
    classes = _classes(comparison)
    test_sets = comparison.test_sets
    described, starts = [], 0.0
    with style.canvas(_ROW * len(classes) + 90) as figure:
        panels = figure.subplots(1, len(test_sets), sharey=True, squeeze=False)[0]
        places = range(len(classes))
        for axes, test_set in zip(panels, test_sets, strict=True):
            lowest = 1.0
            for c in comparison.best.configurations:
                means = c.pooled(test_set).groupby("class")["dice"].mean().reindex(classes)
                axes.scatter(
                    means,
                    places,
                    22,
                    c.colour,
                    label=style.in_lines(c.label, letters=38),
                    linewidths=0,
                    alpha=0.85,
                    zorder=3,
                )
                lowest = min(lowest, float(means.min()))
                described.append(f"{c.label} on {test_set}: lowest {means.idxmin()} {means.min():.2f}")
            starts = max(starts, lowest - 0.05)
            axes.set_xlim(max(-0.02, lowest - 0.05), 1.005)
            axes.set_title(test_set)
            axes.set_xlabel("mean Dice")
            style.plain(axes, "both")
        style.name_rows(panels[0], classes)
        if len(comparison.configurations) > 1:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        start = " The axis does not start at 0." if starts > 0 else ""
        caption = f"Mean Dice over the test cases, class by class.{start}{comparison.cut}"
        return style.finish(figure, caption, f"Dice by class; {'; '.join(described)}.")


def area_errors(comparison: Comparison) -> Figure:
    """Missed and invented area of every class, as a share of its true area, for the best configuration."""
    classes, test_set = _classes(comparison), comparison.test_sets[0]
    best = statistics.best(comparison, test_set)
    pooled = _pooled(best, test_set).reindex(classes)
    under, over = 100 * pooled["fn"] / pooled["truth"], 100 * pooled["fp"] / pooled["truth"]
    with style.canvas(_ROW * len(classes) + 80, 720) as figure:
        axes = figure.subplots()
        places = range(len(classes))
        axes.barh(places, -under, 0.7, color=style.PALETTE[5], label="missed (under-segmented)")
        axes.barh(places, over, 0.7, color=style.PALETTE[4], label="invented (over-segmented)")
        axes.axvline(0, color=style.INK, linewidth=0.8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        axes.set_xlabel("area, % of the true area of the class")
        style.plain(axes, "x")
        style.name_rows(axes, classes)
        figure.legend(loc="outside upper left", ncols=2)
        worst = (under + over).idxmax()
        return style.finish(
            figure,
            f"{best.label} on {test_set}: pixels missed and invented, summed over the cases.",
            f"Area errors by class; the largest is that of {worst}: {under[worst]:.1f} % missed, {over[worst]:.1f} % "
            "invented.",
        )


def worst(comparison: Comparison) -> Fragment:
    """Table of the classes that the best configuration finds worst."""
    test_set = comparison.test_sets[0]
    best = statistics.best(comparison, test_set)
    cases = best.pooled(test_set)
    pooled, further = _pooled(best, test_set), boundaries.further(comparison)
    headings = [capital(measure.heading) for measure in further]
    order = cases.groupby("class")["dice"].mean().sort_values(kind="stable").index[:_WORST]
    rows = []
    for name in order:
        own, area = cases[cases["class"] == name], pooled.loc[name]
        missed = int(((own["tp"] + own["fn"] > 0) & (own["tp"] == 0)).sum())
        cells = [Cell(name), number(own["dice"].mean(), note=f"sd {own['dice'].std():.3f}")]
        cells += [number(own[measure.name].mean(), 3 if measure.high <= 1 else 1) for measure in further]
        cells += [number(100 * area[k] / area["truth"], 1) for k in ("fn", "fp")]
        rows.append([*cells, number(missed, 0)])
    columns = words("Class") + numeric("Dice", *headings, "Missed area, %", "Invented area, %", "Cases missed")
    notes = [f"{best.label} on {test_set}; means over the cases. Areas are shares of the true area of the class."]
    return Table(f"The {len(rows)} worst classes", columns, rows, notes + measure_table.notes(comparison)).fragment()


def _classes(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(comparison.configurations[0].cases[0]["class"]))


def _pooled(configuration: Configuration, test_set: str) -> pd.DataFrame:
    summed = configuration.pooled(test_set).groupby("class", sort=False)[["tp", "fp", "fn"]].sum()
    return summed.assign(truth=summed["tp"] + summed["fn"])
