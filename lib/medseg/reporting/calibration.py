"""Whether probabilities can be believed: reliability diagram, ECE and Brier score; and Dice against the threshold."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medseg.evaluation.detail import CALIBRATION
from medseg.metrics import calibration
from medseg.reporting import evaluation_tables, measure_table, statistics, style
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Figure, Fragment, Parts, sentence
from medseg.reporting.measure_table import Shown

_MOST = 6  # configurations that a figure shows, the best by Dice
_LETTERS = 60  # of a line of a name
_SMOOTHED = 0.005  # of Dice: thresholds whose mean Dice is this near to the highest are as good


def page(comparison: Comparison) -> Parts:
    """Table and figure of :func:`table` and :func:`figure`; a sentence where no run has what they need."""
    kept = evaluation_tables.having(comparison, CALIBRATION)
    if not kept:
        return Parts(
            (
                sentence(
                    "Calibration is not known: probabilities were not counted when these runs were scored (score them "
                    "again with 3_evaluate), or were not given."
                ),
            )
        )
    return Parts((table(comparison, kept), figure(comparison, kept)))


def table(comparison: Comparison, kept: list[Configuration]) -> Fragment:
    """ECE, Brier score, and the thresholds at which Dice is about highest, of ``kept`` on every test set."""
    binned_of = _Binned()
    shown = [
        Shown("ECE", binned_of.column(calibration.ece), digits=4),
        Shown("Brier score", binned_of.column(calibration.brier), digits=4),
        Shown("Highest Dice where present", binned_of.column(lambda binned: binned["dice"].max())),
        Shown("at threshold", binned_of.column(_highest), digits=2, below=binned_of.near),
        Shown("Dice at 0.5 where present", binned_of.column(lambda binned: binned["dice"][calibration.BINS // 2])),
    ]
    notes = [
        "Over all pixels of a test set, classes together; lower is better. ECE: expected calibration error, mean "
        f"distance between probability and share of true pixels in {calibration.RELIABILITY_BINS} bins of equal width "
        "(Naeini et al. 2015, AAAI 29:2901; Guo et al. 2017, ICML 70:1321). Brier score: mean squared distance between "
        "probability and truth (Brier 1950, Mon. Weather Rev. 78:1). Most pixels are surely background and make both "
        "small: compare them between networks, not between data sets.",
        "Dice where present: mean over the cases that show the class, before any clean-up of masks, so that a false "
        "alarm in another case does not count, as it does in the other tables. The highest is picked on the "
        f"test cases themselves: it shows what a threshold could change, not what was scored. Below its threshold: "
        f"the range in which Dice is within {_SMOOTHED:g} of it.",
        *evaluation_tables.lacking(comparison, kept, "probabilities"),
    ]
    return measure_table.table("Calibration", comparison, shown, notes, kept)


def figure(comparison: Comparison, kept: list[Configuration]) -> Figure:
    """For every test set the reliability diagram, and mean Dice against the threshold; all seeds of one together."""
    test_sets, described = comparison.test_sets, []
    average = statistics.means(comparison).groupby("run")["mean"].mean()
    best = set(average[[c.label for c in kept]].nlargest(_MOST).index)
    drawn = [c for c in kept if c.label in best]
    names = {c.label: style.in_lines(c.label, letters=_LETTERS) for c in drawn}
    lines = -(-len(drawn) // 2) * (1 + max(name.count("\n") for name in names.values()))
    with style.canvas(240 * len(test_sets) + 24 * lines + 20) as canvas:
        grid = canvas.subplots(len(test_sets), 2, squeeze=False)
        for (diagram, curve), test_set in zip(grid, test_sets, strict=True):
            diagram.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
            for c in drawn:
                binned = calibration.added(_binned(c, test_set))
                look = {"color": c.colour, "linestyle": style.dashes(c.number), "linewidth": 1.6}
                bins = calibration.reliability(binned)
                diagram.plot(
                    bins["probability"], bins["observed"], marker="o", markersize=3, label=names[c.label], **look
                )
                curve.plot(binned["low"], binned["dice"], **look)
                described.append(f"{c.label} on {test_set} ECE {calibration.ece(binned):.3f}")
            _dressed(diagram, test_set, "probability", "share of true pixels")
            _dressed(curve, test_set, "threshold", "mean Dice")
        canvas.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
        caption = (
            "Left: share of true pixels among those of a probability; on the line a probability means what it says, "
            "below it the network is too sure of a finding. Right: mean Dice against the threshold; where it is flat, "
            "the choice of a threshold matters little."
        )
        if len(drawn) < len(kept):
            caption += f" The {len(drawn)} of {len(kept)} configurations with the highest mean Dice."
        return style.finish(canvas, caption, f"Calibration: {'; '.join(described)}.")


def _dressed(axes: Axes, title: str, along: str, up: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(along)
    axes.set_ylabel(up)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    style.plain(axes, "both")


def _binned(configuration: Configuration, test_set: str) -> list[pd.DataFrame]:
    """The table of each seed for a test set, that of its folds together."""
    seeds = evaluation_tables.of_seeds(configuration, CALIBRATION)
    own = [[table[table["test_set"] == test_set].reset_index(drop=True) for table in tables] for tables in seeds]
    return [calibration.added([table for table in tables if len(table)]) for tables in own]


class _Binned:
    """:func:`_binned` of every configuration and test set, made once for a table."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Configuration, list[pd.DataFrame]]] = {}

    def of(self, configuration: Configuration, test_set: str) -> list[pd.DataFrame]:
        place = id(configuration), test_set
        if place not in self._known:
            self._known[place] = configuration, _binned(configuration, test_set)
        return self._known[place][1]

    def column(self, value: Callable[[pd.DataFrame], float]) -> Callable[[Configuration, str], list[float]]:
        return lambda configuration, test_set: [value(binned) for binned in self.of(configuration, test_set)]

    def near(self, configuration: Configuration, test_set: str) -> str:
        """The thresholds at which Dice, of all seeds together, is about the highest."""
        seeds = self.of(configuration, test_set)
        binned = seeds[0] if len(seeds) == 1 else calibration.added(seeds)
        near = np.flatnonzero(binned["dice"] >= binned["dice"].max() - _SMOOTHED)
        return f"{binned['low'][near[0]]:.2f}\u2013{binned['low'][near[-1]]:.2f}" if len(near) else ""


def _highest(binned: pd.DataFrame) -> float:
    """The threshold of highest mean Dice; NaN where no case shows the class."""
    return float(binned["low"][binned["dice"].argmax()]) if binned["dice"].notna().any() else np.nan
