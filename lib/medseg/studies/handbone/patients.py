"""Whether some patients fare worse than others: error against sex, age, weight and height."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from medseg.reporting import statistics, style
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure, Fragment, sentence
from medseg.studies.handbone.study import STUDY

FACTS = STUDY.facts
_UNITS = {"age": "age, years", "weight": "weight, kg", "height": "height, cm"}
_FEW = 5  # patients below which a correlation says nothing


def errors(comparison: Comparison) -> Figure | Fragment:
    """1 - mean Dice of every patient of the best configuration, by sex and against age, weight and height.

    A patient's hands are taken together, since they resemble each other. Patients without the fact are left out of its
    panel. The rank correlation is Spearman's, the comparison of the sexes Mann and Whitney's U test, two-sided.
    """
    test_set = comparison.test_sets[0]
    best = statistics.best(comparison, test_set)
    cases = best.pooled(test_set)
    known = [name for name in ("sex", *_UNITS) if name in cases and cases[name].replace("", np.nan).notna().any()]
    if not known:
        return sentence(
            "Nothing is known of the patients: the data came without a table of sex, age, weight and height."
        )
    error = 100 * (1 - cases.groupby("group")["dice"].mean())
    patients = cases.groupby("group")[known].first().assign(error=error)
    described = []
    with style.canvas(260) as figure:
        panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, known, strict=True):
            rows = patients[patients[name].replace("", np.nan).notna()]
            words = _sexes(axes, rows, best.colour) if name == "sex" else _against(axes, rows, name, best.colour)
            described.append(f"{name}: {words}")
            axes.set_title(words, fontweight="normal", color=style.MUTED, fontsize=9)
            style.plain(axes)
        panels[0].set_ylabel("error, 100 x (1 - mean Dice)")
        panels[0].set_ylim(0, 1.1 * max(1.0, patients["error"].max()))
        caption = (
            f"{best.label} on {test_set}: a dot is a patient, both hands together. No correction for the number of "
            "panels."
        )
        return style.finish(figure, caption, f"Error of {len(patients)} patients. {'; '.join(described)}.")


def _sexes(axes: Axes, rows: pd.DataFrame, colour: str) -> str:
    groups = {name: rows.loc[rows["sex"] == name, "error"] for name in ("F", "M")}
    for place, values in enumerate(groups.values()):
        axes.scatter(place + 0.35 * style.scattered(len(values)), values, 22, colour, alpha=0.7, linewidths=0)
        if len(values):
            axes.plot([place - 0.25, place + 0.25], [values.median()] * 2, color=style.INK)
    axes.set_xticks([0, 1], [f"{name} (n = {len(values)})" for name, values in groups.items()])
    axes.set_xlim(-0.6, 1.6)
    axes.set_xlabel("sex; bar: median")
    if min(map(len, groups.values())) < _FEW:
        return "too few to compare"
    return f"U test p = {stats.mannwhitneyu(*groups.values()).pvalue:.2f}"


def _against(axes: Axes, rows: pd.DataFrame, name: str, colour: str) -> str:
    values = pd.to_numeric(rows[name])
    axes.scatter(values, rows["error"], 22, colour, alpha=0.7, linewidths=0)
    axes.set_xlabel(_UNITS[name])
    if len(rows) < _FEW or values.nunique() < 3:
        return f"{len(rows)} patients: too few"
    found = stats.spearmanr(values, rows["error"])
    return f"Spearman {found.statistic:+.2f}, p = {found.pvalue:.2f}, n = {len(rows)}"
