"""The table of the measures that the polyp field reports, beside Dice at the fixed threshold."""

import pandas as pd

from medseg.metrics.overlap import summarise
from medseg.metrics.saliency import MEASURES
from medseg.reporting import provenance
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment
from medseg.reporting.tables import Cell, Column, Row, Table, number

_TITLES = {
    "mdice_thresholds": "mDice",
    "miou_thresholds": "mIoU",
    "weighted_f": "weighted F",
    "s_measure": "S",
    "e_mean": "mean E",
    "e_max": "max E",
    "mae": "MAE",
}
_LESS_IS_BETTER = ("mae",)
_ADVICE = "scored before these measures were; score again with 3_evaluate"


def measures(comparison: Comparison) -> Fragment:
    """mDice, mIoU, weighted F, S, mean and max E and MAE of every configuration on every test set, the best in bold.

    A configuration with several seeds shows mean and standard deviation over the seeds. The figures are those of the
    runs' records (``evaluation.saliency``; see :mod:`medseg.metrics.saliency` for the rules); a configuration of which
    a run lacks them is named below the table.
    """
    shown = [c for c in comparison.configurations if all(_recorded(r) for r in c.records)]
    absent = "; ".join(c.label for c in comparison.configurations if c not in shown)
    if not shown:
        text = f"The field's own measures were not computed for these runs ({_ADVICE})."
        return Fragment(f"<p>{text}</p>", text)
    thresholds = provenance.distinct([record["evaluation"] for c in shown for record in c.records], "threshold")
    columns = [
        Column("Configuration", numeric=False),
        Column("Test set", numeric=False),
        *map(Column, (f"Dice at {thresholds}", *_TITLES.values())),
    ]
    rows = []
    for test_set in comparison.test_sets:
        figures = {c.number: _figures(c, test_set) for c in shown}
        best = _best(figures)
        for c in shown:
            cells = [Cell(c.name, note=c.details), Cell(test_set)]
            for name, values in figures[c.number].items():
                spread = f"\u00b1 {values.std():.3f}" if len(values) > 1 else ""
                cells.append(number(values.mean(), mark="best" if best[name] == c.number else "", note=spread))
            rows.append(Row(cells))
    notes = [f"Not computed for: {absent} ({_ADVICE})."] if absent else []
    return Table("The field's own measures", columns, rows, notes + _notes(comparison, shown)).fragment()


def _recorded(record: dict) -> dict[str, dict[str, float | None]]:
    """Figures by test set; empty for a run that was scored without them."""
    return record.get("evaluation", {}).get("saliency", {}).get("test_sets", {})


def _figures(configuration: Configuration, test_set: str) -> dict[str, pd.Series]:
    """Values over the seeds of Dice at the fixed threshold and of every measure."""
    summaries = [summarise(cases).set_index("test_set") for cases in configuration.cases]
    recorded = pd.DataFrame([_recorded(record)[test_set] for record in configuration.records], dtype=float)
    dice = pd.Series([summary.loc[test_set, "mean_dice"] for summary in summaries])
    return {"dice": dice, **{name: recorded[name] for name in _TITLES}}


def _best(figures: dict[int, dict[str, pd.Series]]) -> dict[str, int | None]:
    """For every column the number of the configuration with the best mean; None where fewer than two have one."""
    best = {}
    for name in ("dice", *_TITLES):
        means = pd.Series({number: values[name].mean() for number, values in figures.items()}).dropna()
        if len(means) < 2:
            best[name] = None
        else:
            best[name] = means.idxmin() if name in _LESS_IS_BETTER else means.idxmax()
    return best


def _notes(comparison: Comparison, shown: list[Configuration]) -> list[str]:
    notes = []
    if len(shown) > 1:
        notes.append(
            "Bold: best of its column on the test set (of MAE the lowest), whether or not chance could explain the "
            "difference; that is tested for Dice alone."
        )
    if any(len(c.runs) > 1 for c in shown):
        notes.append("\u00b1: standard deviation over the seeds.")
    rules = "; ".join(f"{title}: {MEASURES[name]}" for name, title in _TITLES.items())
    notes.append(f"Dice: of the mask above the threshold, mean over the cases. {rules}.")
    recorded = [record["evaluation"]["saliency"] for c in shown for record in c.records]
    notes.append(
        f"Rules of the columns after Dice: {provenance.distinct(recorded, 'rule')}. Threshold 0 takes every pixel, "
        "so that no mDice, mIoU or mean E reaches 1."
    )
    first = shown[0].cases[0].groupby("test_set", sort=False).size()
    scored = _recorded(shown[0].records[0])
    left_out = [f"{name} {n - scored[name]['n_scored']}" for name, n in first.items() if scored[name]["n_scored"] < n]
    if left_out:
        notes.append(f"Cases with nothing to find are left out of these columns: {', '.join(left_out)}.")
    return notes + provenance.notes(comparison)
