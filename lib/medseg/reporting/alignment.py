"""Means over the same cases: what a case counts in which nothing is to be found and a network rightly found nothing.

Such a case has no Dice. Left out of the mean of the networks that are right about it, and counted as 0 for those that
are wrong, it would give every network a mean over other cases, and a mean would not be the one that was tested.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medseg.evaluation.measures import MEASURES, Measure
from medseg.metrics.overlap import OVERLAP
from medseg.metrics.paired import KEY
from medseg.reporting.configuration import Configuration


def aligned(configurations: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """The configurations with cases of which all have a value or none has, measure by measure.

    Where truth and prediction are empty, and another run of any of the configurations has a value, since it found
    something, the measure is the best there is: 1 for Dice, 0 for a distance. Where no run has one, it stays NaN.
    """
    empty = [cases[_nothing_to_find(cases)] for c in configurations for cases in c.cases_by_run.values()]
    empty = [cases for cases in empty if len(cases)]
    if not empty:
        return tuple(configurations)
    names = [measure.name for measure in MEASURES if any(measure.name in cases for cases in empty)]
    together = pd.concat([cases.reindex(columns=[*KEY, *names]) for cases in empty])
    known = together.groupby(KEY)[names].count() > 0
    if not known.any(axis=None):
        return tuple(configurations)
    return tuple(
        c.with_cases({run_id: _filled(cases, known) for run_id, cases in c.cases_by_run.items()})
        for c in configurations
    )


def _nothing_to_find(cases: pd.DataFrame) -> np.ndarray:
    return (cases["tp"] + cases["fn"] == 0).to_numpy()


def _filled(cases: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """``cases`` with the best value for what is rightly empty; ``known``: by case and class, who has one."""
    right = _nothing_to_find(cases) & (cases["fp"] == 0).to_numpy()
    if not right.any():
        return cases
    wanted = known.reindex(pd.MultiIndex.from_frame(cases.loc[right, KEY]), fill_value=False)
    filled = cases.copy()
    for measure in MEASURES:
        if _taken(cases, measure):
            best = measure.low if measure.lower_is_better else measure.high
            values = filled[measure.name].to_numpy(float, copy=True)
            values[np.flatnonzero(right)[wanted[measure.name]]] = best
            filled[measure.name] = values
    return filled


def _taken(cases: pd.DataFrame, measure: Measure) -> bool:
    """Whether a run has a measure at all: one that was not taken must not seem perfect."""
    return measure.name in cases and (measure.name in OVERLAP or bool(cases[measure.name].notna().any()))
