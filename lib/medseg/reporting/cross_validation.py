"""Cross-validation: the folds of a configuration are one, every case scored by the network that did not see it."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.identity import fold_of
from medseg.experiments.runs import Run, predictions_of
from medseg.names import joined

#: The test set of a configuration over folds: what each of its networks held out, together.
HELD_OUT = "held-out folds"
#: Run-length code of every mask, by image name and class.
Predicted = dict[tuple[str, str], str]
_KEY = ["test_set", "case_id", "class"]
_NAMED = 10  # cases that an error lists


def by_seed(runs: Iterable[Run]) -> tuple[tuple[Run, ...], ...]:
    """The runs of each seed, in the order given."""
    found: dict[Any, list[Run]] = {}
    for run in runs:
        found.setdefault(run.record.get("seed"), []).append(run)
    return tuple(map(tuple, found.values()))


def held_out(run: Run) -> pd.DataFrame:
    """``cases.csv`` of a run over one fold, its test set called :data:`HELD_OUT`; the column ``fold`` says which."""
    fold, cases = fold_of(run.record), run.cases()
    return cases.assign(test_set=cases["test_set"].replace(f"fold-{fold}", HELD_OUT), fold=fold)


def pooled(runs: Sequence[Run]) -> pd.DataFrame:
    """The cases of :func:`held_out` of the folds of one seed, together.

    Raises:
        MedsegError: a case was held out twice; the message names it and the runs.
    """
    return pool(runs, [held_out(run) for run in runs])


def pool(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """As :func:`pooled`, of tables that were read."""
    # A fact that is not known of anybody in a fold is a column of no type; it must not decide that of the others.
    table = pd.concat([cases.dropna(axis="columns", how="all") for cases in tables], ignore_index=True)
    table = table.reindex(columns=list(dict.fromkeys(column for cases in tables for column in cases.columns)))
    doubled = table.duplicated(_KEY)
    if doubled.any():
        again = list(dict.fromkeys(table.loc[doubled, "case_id"]))
        guilty = [
            f"{run.id} (fold {fold_of(run.record)})"
            for run, cases in zip(runs, tables, strict=True)
            if again[0] in set(cases["case_id"])
        ]
        more = f" and {len(again) - _NAMED} more" if len(again) > _NAMED else ""
        raise MedsegError(
            f"Held out more than once, which no case may be: {', '.join(map(str, again[:_NAMED]))}{more}; the first by "
            f"the runs {' and '.join(guilty)}. Remove one of the runs, or score them again with 3_evaluate."
        )
    return table


def predictions(runs: Sequence[Run], cases: pd.DataFrame) -> dict[str, Predicted]:
    """For each case what the run of the fold that holds it predicted; see ``experiments.runs.predictions_of``.

    Pictures of two patients may have the same name, so that the folds' predictions are not thrown together.

    Args:
        runs: over folds.
        cases: of :func:`pooled`.
    """
    by_fold = {fold: predictions_of(run, f"fold-{fold}") for run in runs if (fold := fold_of(run.record)) is not None}
    held = cases.drop_duplicates("case_id")
    return {case_id: by_fold[fold] for case_id, fold in zip(held["case_id"], held["fold"], strict=True)}


def named(folds: Iterable[int]) -> str:
    """``fold 3``, ``folds 1 and 3``, ``folds 0, 1 and 2``."""
    numbers = list(folds)
    return f"fold{'s' if numbers[1:] else ''} {joined(numbers)}"


def lacks(lacking: Iterable[tuple[Any, int]], seeds: Sequence[Any]) -> str:
    """What a configuration lacks, in words: ``lacks fold 3``, of some seeds ``lacks fold 3 of seed 2``; else empty."""
    missed: dict[Any, list[int]] = {}
    for seed, fold in lacking:
        missed.setdefault(seed, []).append(fold)
    same = len(missed) == len(seeds) and len({tuple(folds) for folds in missed.values()}) == 1
    if missed and same:
        return f"lacks {named(next(iter(missed.values())))}"
    said = [f"{named(folds)} of seed {seed}" for seed, folds in missed.items()]
    return f"lacks {', '.join(said)}" if said else ""
