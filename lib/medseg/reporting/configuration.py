"""A configuration: runs that asked the same question with different seeds, or with other folds held out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.identity import fold_of
from medseg.experiments.runs import BROUGHT, Run
from medseg.metrics.overlap import summarise
from medseg.reporting import cross_validation, style


@dataclass(frozen=True)
class Configuration:
    """Runs that asked the same question with different seeds, or with other folds held out.

    Attributes:
        name: the values by which a reader knows it, such as ``Unet resnet34``.
        details: the other parameters in which the compared runs differ, such as ``384 px, no cbam``; may be empty.
        number: its place in the comparison, from 0.
        runs: one or more, by seed and fold.
        folds: the folds found, where the compared runs held out several; else ().
        lacking: seed and fold of what it lacks: a fold that other configurations, or its other seeds, have.
        tables: its cases where they are not those of the runs; see :func:`shared_cases`.
    """

    name: str
    details: str
    number: int
    runs: tuple[Run, ...]
    folds: tuple[int, ...] = ()
    lacking: tuple[tuple[Any, int], ...] = ()
    tables: tuple[pd.DataFrame, ...] | None = field(default=None, repr=False, compare=False)

    def placed(self, number: int) -> "Configuration":
        """The same at another place; what was read of its runs is kept."""
        return replace(self, number=number).with_cases(self.cases_by_run)

    def with_cases(self, cases_by_run: dict[str, pd.DataFrame]) -> "Configuration":
        """The same with other cases of its runs."""
        changed = replace(self)
        changed.__dict__["cases_by_run"] = cases_by_run
        return changed

    @property
    def label(self) -> str:
        """Name and details in one line."""
        return f"{self.name} ({self.details})" if self.details else self.name

    @property
    def brought(self) -> bool:
        """Whether its masks were made elsewhere: it has no training."""
        return any(record.get("stage") == BROUGHT for record in self.records)

    @property
    def colour(self) -> str:
        """Its colour in every figure."""
        return style.colour(self.number)

    @cached_property
    def records(self) -> tuple[dict[str, Any], ...]:
        """``run.json`` of every run."""
        return tuple(run.record for run in self.runs)

    @cached_property
    def by_seed(self) -> tuple[tuple[Run, ...], ...]:
        """The runs that a table of ``cases`` comes from: one run, or the folds of a seed."""
        return cross_validation.by_seed(self.runs) if self.folds else tuple((run,) for run in self.runs)

    @property
    def seeds(self) -> list[Any]:
        """The seed of each table of ``cases``."""
        return [runs[0].record.get("seed") for runs in self.by_seed]

    @cached_property
    def cases_by_run(self) -> dict[str, pd.DataFrame]:
        """``cases.csv`` of every run, by run id; with folds as :func:`cross_validation.held_out` gives it.

        Of compared runs as :func:`medseg.reporting.alignment.aligned` gives them.
        """
        return {run.id: cross_validation.held_out(run) if self.folds else run.cases() for run in self.runs}

    @cached_property
    def further(self) -> dict[str, list[list[pd.DataFrame]]]:
        """What was read besides of the runs of each seed, by the name of the table."""
        return {}

    @cached_property
    def cases(self) -> tuple[pd.DataFrame, ...]:
        """Scored cases, a table for each seed: ``cases.csv`` of its run, or of its folds together.

        Raises:
            MedsegError: a case was held out by two folds.
        """
        if self.tables is not None:
            return self.tables
        read = [[self.cases_by_run[run.id] for run in runs] for runs in self.by_seed]
        if not self.folds:
            return tuple(table for (table,) in read)
        return tuple(cross_validation.pool(*both) for both in zip(self.by_seed, read, strict=True))

    @cached_property
    def summaries(self) -> tuple[pd.DataFrame, ...]:
        """:func:`summary` of each table of ``cases``, by test set."""
        return tuple(summary(cases).set_index("test_set") for cases in self.cases)

    @cached_property
    def per_fold(self) -> tuple["Configuration", ...]:
        """The configuration as each fold shows it alone; () without folds."""
        return tuple(self.over([fold]) for fold in self.folds)

    def over(self, folds: Sequence[int]) -> "Configuration":
        """The configuration with the runs and cases of some of its folds alone; a seed without any is left out."""
        tables = [table[table["fold"].isin(folds)] for table in self.cases]
        runs = tuple(run for run in self.runs if fold_of(run.record) in folds)
        kept = tuple(table for table in tables if len(table))
        return replace(self, runs=runs, folds=tuple(folds), lacking=(), tables=kept)

    @cached_property
    def complete(self) -> "Configuration":
        """The configuration with the cases of those folds alone that all its seeds have; itself where they are all.

        Raises:
            MedsegError: its seeds have no fold in common.
        """
        return shared_cases([self])[0]

    @property
    def lacks(self) -> str:
        """What is ``lacking``, in words such as ``lacks fold 3``; empty where nothing is."""
        return cross_validation.lacks(self.lacking, self.seeds)

    def pooled(self, test_set: str) -> pd.DataFrame:
        """The cases of a test set, those of all seeds together."""
        return pd.concat([table[table["test_set"] == test_set] for table in self.cases])


def summary(cases: pd.DataFrame) -> pd.DataFrame:
    """:func:`medseg.metrics.overlap.summarise`, with means over what is scored in the comparison at hand.

    These are the columns dice and iou of ``cases``, which need not follow from the counts of this run alone; see
    :func:`medseg.reporting.alignment.aligned`.
    """
    columns = cases.groupby(pd.factorize(cases["test_set"], use_na_sentinel=False)[0])[["dice", "iou"]]
    mean, scored, spread = columns.mean(), columns.count()["dice"], columns.std()["dice"]
    taken = {"mean_dice": mean["dice"], "mean_iou": mean["iou"], "sd": spread, "n_scored": scored}
    return summarise(cases).assign(**{name: values.to_numpy() for name, values in taken.items()})


def shared_cases(configurations: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """The configurations with the cases of those folds alone that every one of them has, with every seed.

    Where none lacks a fold they are returned as they are. Cases that are missing for another reason stay missing, and
    are for :func:`medseg.metrics.compare.compare_runs` to refuse.

    Raises:
        MedsegError: there is no such fold; the message says what each of them lacks.
    """
    if not any(c.lacking for c in configurations):
        return tuple(configurations)
    lost = {fold for c in configurations for _, fold in c.lacking}
    shared = {fold for c in configurations for fold in c.folds} - lost
    if not shared:
        each = "".join(f"\n  - {c.label}: {c.lacks or 'lacks nothing'}" for c in configurations)
        raise MedsegError(
            f"No fold was held out by every configuration, so that no case is scored by all:{each}\nRun the sweep "
            "again for the folds that are lacking, or report on one sweep with 'medseg report STUDY --sweep NAME'."
        )
    return tuple(c.over(sorted(shared)) if c.folds else c for c in configurations)
