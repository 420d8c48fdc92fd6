"""The table of the measures that the polyp field reports, beside Dice at the fixed threshold."""

import math

import pandas as pd

from medseg.evaluation.measures import named
from medseg.metrics.saliency import MEASURES
from medseg.reporting import cross_validation, measure_table, statistics
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment, sentence
from medseg.reporting.measure_table import Shown

_ADVICE = "scored before these measures were; score again with 3_evaluate"


def measures(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment:
    """mDice, mIoU, weighted F, S, mean and max E and MAE of every configuration on every test set.

    The figures are those of the runs' records (``evaluation.saliency``; see :mod:`medseg.metrics.saliency` for the
    rules); a configuration of which a run lacks them is named below the table.
    """
    scored = [c for c in comparison.configurations if all(_recorded(record) for record in c.records)]
    absent = "; ".join(c.label for c in comparison.configurations if c not in scored)
    if not scored:
        return sentence(f"The field's own measures were not computed for these runs ({_ADVICE}).")
    thresholds = measure_table.distinct([record for c in scored for record in c.records], "evaluation", "threshold")
    shown = [Shown(f"Dice at {thresholds}", measure_table.summarised("mean_dice"), "dice"), *map(_column, MEASURES)]
    notes = [f"Not computed for: {absent} ({_ADVICE})."] if absent else []
    notes += [*_notes(scored), *measure_table.notes(comparison)]
    return measure_table.table("The field's own measures", comparison, shown, notes, scored, margin)


def _recorded(record: dict) -> dict[str, dict[str, float | None]]:
    """Figures by test set; empty for a run that was scored without them."""
    return record.get("evaluation", {}).get("saliency", {}).get("test_sets", {})


def _figures(configuration: Configuration) -> list[dict[str, dict[str, float]]]:
    """Figures by test set of each table of cases; those of folds are the folds' own, weighted by their cases."""
    found = []
    for runs in configuration.by_seed:
        recorded = [_recorded(run.record) for run in runs]
        own = {
            name: {k: math.nan if v is None else v for k, v in values.items()} for name, values in recorded[0].items()
        }
        if configuration.folds:
            table = pd.DataFrame([values for sets in recorded for values in sets.values()]).astype(float)
            weights = table.pop("n_scored")
            total = (table.mul(weights, axis=0).sum() / table.notna().mul(weights, axis=0).sum()).to_dict()
            own = {cross_validation.HELD_OUT: {**total, "n_scored": weights.sum()}}
        found.append(own)
    return found


def _column(name: str) -> Shown:
    def of(configuration: Configuration, test_set: str) -> list[float]:
        return [figures[test_set][name] for figures in _figures(configuration)]

    return Shown(named(name).title, of, name)


def _notes(shown: list[Configuration]) -> list[str]:
    notes = [statistics.MARKS] if len(shown) > 1 else []
    if any(len(c.seeds) > 1 for c in shown):
        notes.append("\u00b1: standard deviation over the seeds.")
    rules = "; ".join(f"{named(name).title}: {rule}" for name, rule in MEASURES.items())
    notes.append(f"Dice: of the mask above the threshold, mean over the cases. {rules}.")
    evaluations = [record["evaluation"] for c in shown for record in c.records]
    notes.append(
        f"Rules of the columns after Dice: {measure_table.distinct(evaluations, 'saliency', 'rule')}. Threshold 0 "
        "takes every pixel, so that no mDice, mIoU or mean E reaches 1. Max E is no mean over "
        "cases: it is not tested and has no mark."
    )
    hard = [c.name for c in shown if any(record["evaluation"].get("soft") is False for record in c.records)]
    if hard:
        notes.append(f"Of {', '.join(hard)} masks were brought, not maps: these columns judge its masks.")
    if any(c.folds for c in shown):
        notes.append("Of folds these columns are the mean of each fold's own figure, weighted by its cases.")
    first = shown[0].cases[0].groupby("test_set", sort=False).size()
    scored = _figures(shown[0])[0]
    left_out = [
        f"{name} {n - scored[name]['n_scored']:.0f}" for name, n in first.items() if scored[name]["n_scored"] < n
    ]
    if left_out:
        notes.append(f"Cases with nothing to find are left out of these columns: {', '.join(left_out)}.")
    return notes
