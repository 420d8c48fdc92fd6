"""Tables that evaluations leave beside ``cases.csv``, by configuration; runs from before there were any have none."""

from collections.abc import Iterable

import pandas as pd

from medseg.experiments.identity import fold_of
from medseg.experiments.runs import Run
from medseg.names import listed
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.cross_validation import HELD_OUT


def having(comparison: Comparison, name: str) -> list[Configuration]:
    """The configurations of which every run has the table ``name``."""
    return [c for c in comparison.configurations if all((run.folder / name).is_file() for run in c.runs)]


def of_seeds(configuration: Configuration, name: str) -> list[list[pd.DataFrame]]:
    """The tables ``name`` of the runs of each seed: one, or that of every fold, its test set called as in ``cases``.

    Raises:
        MedsegError: one is not there, or not what the evaluation wrote.
    """
    known, folds = configuration.further, bool(configuration.folds)
    if name not in known:
        known[name] = [[_read(run, name, folds) for run in runs] for runs in configuration.by_seed]
    return known[name]


def lacking(comparison: Comparison, kept: Iterable[Configuration], what: str) -> list[str]:
    """Which configurations have no ``what``, and why; [] where all have."""
    numbers = {c.number for c in kept}
    names = [c.label for c in comparison.configurations if c.number not in numbers]
    return [f"Without {what}: {listed(names, most=4)}."] if names else []


def _read(run: Run, name: str, folds: bool) -> pd.DataFrame:
    table = run.table(name, "score it again with 3_evaluate")
    own = f"fold-{fold_of(run.record)}"
    return table.assign(test_set=table["test_set"].replace(own, HELD_OUT)) if folds else table
