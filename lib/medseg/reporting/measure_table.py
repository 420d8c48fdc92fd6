"""What tables of a comparison share: a row for each configuration and test set, notes on where numbers come from."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medseg.names import joined
from medseg.reporting import statistics
from medseg.reporting.comparison import MOST, Comparison, Configuration, readable
from medseg.reporting.configuration import summary
from medseg.reporting.fragments import Cell, Fragment, Row, Table, number, numeric, words


@dataclass(frozen=True)
class Shown:
    """A column; ``of`` gives the value of each seed of a configuration on a test set, NaN where there is none.

    ``measure`` names the measure of which the column is the mean over the cases, empty where it is something else.
    """

    title: str
    of: Callable[[Configuration, str], Iterable[float]]
    measure: str = ""
    digits: int = 3
    below: Callable[[Configuration, str], str] | None = None  # a line under the value


def table(
    title: str,
    comparison: Comparison,
    shown: Sequence[Shown],
    notes: Sequence[str],
    configurations: Sequence[Configuration] | None = None,
    margin: float = statistics.MARGIN,
) -> Fragment:
    """Mean over the seeds and, where there are several seeds or folds, their standard deviation.

    Args:
        title: of the table.
        comparison: whose statistics mark the columns of a measure (:data:`medseg.reporting.statistics.MARKS`).
        shown: the columns.
        notes: below the table.
        configurations: those to show, without marks if some are left out; None: all.
        margin: see :func:`medseg.reporting.statistics.differences`.
    """
    rows = []
    own = comparison.configurations if configurations is None else configurations
    complete = len(own) == len(comparison.configurations) > 1
    tested = [measure.name for measure in statistics.measured(comparison) if measure.tested and complete]
    marks = {s.measure: statistics.marks(comparison, s.measure, margin) for s in shown if s.measure in tested}
    for test_set in comparison.test_sets:
        for c in own:
            cells = [Cell(c.name, note=f"{c.details}\n{c.lacks}".strip()), Cell(test_set)]
            for s in shown:
                # Many columns: what the spread is over stands in a line of its own.
                values = list(s.of(c.complete, test_set))
                spread = "\n".join(spreads(c.complete, test_set, s.of, s.digits, values)) if s.digits else ""
                spread = spread.replace(" over ", "\nover ")
                spread = f"{s.below(c.complete, test_set) if s.below else ''}\n{spread}".strip()
                mark = marks.get(s.measure, {}).get((c.label, test_set), "")
                cells.append(number(_mean(values), s.digits, mark=mark, note=spread))
            rows.append(Row(cells, folded=c.number >= MOST))
    return Table(title, words("Configuration", "Test set") + numeric(*(s.title for s in shown)), rows, notes).fragment()


def spreads(
    configuration: Configuration,
    test_set: str,
    of: Callable[[Configuration, str], Iterable[float]],
    digits: int = 3,
    values: Sequence[float] | None = None,
) -> list[str]:
    """Standard deviations, in words: over the folds (of each fold's own mean), and over the seeds.

    ``values`` of the seeds, where they are known already, need not be asked for again.
    """
    values = list(of(configuration, test_set)) if values is None else values
    if len(values) < 2 and len(configuration.per_fold) < 2:
        return []
    folds = pd.Series([_mean(of(fold, test_set)) for fold in configuration.per_fold], dtype=float)
    seeds = pd.Series(values, dtype=float)
    if seeds.isna().all():  # nothing to measure, such as alarms where every picture has a finding
        return []
    found = [f"\u00b1 {folds.std():.{digits}f} over {len(folds)} folds"] if len(folds) > 1 else []
    if len(seeds) > 1:
        found.append(f"\u00b1 {seeds.std():.{digits}f}" + (f" over {len(seeds)} seeds" if len(folds) else ""))
    return found


def summarised(column: str) -> Callable[[Configuration, str], Iterable[float]]:
    """The value of a column of :func:`medseg.reporting.configuration.summary` for each seed."""

    def of(configuration: Configuration, test_set: str) -> list[float]:
        return [found.loc[test_set, column] for found in configuration.summaries]

    return of


def counted(found: Sequence[tuple[int, int]]) -> str:
    """``5 of 9``, or ``5\u20137 of 9``, from number and total of each seed; empty where there is nothing to count."""
    of = found[0][1]
    ends = dict.fromkeys(str(int(end(number for number, _ in found))) for end in (min, max))
    return f"{chr(0x2013).join(ends)} of {int(of)}" if of else ""


def notes(comparison: Comparison) -> list[str]:
    """What every table has to say: data, protocol, cases, folds, scoring, threshold, seeds, code; from the records."""
    dataset, records = comparison.dataset, comparison.records
    first = max((cases for c in comparison.configurations for cases in c.cases), key=len)
    classes = first["class"].nunique()
    found = summary(first)
    counts = "; ".join(
        f"{row.test_set} n = {row.n_cases // classes}"
        + (f" with {classes} classes each" if classes > 1 else "")
        + (f", {row.n_scored} scored" if row.n_scored < row.n_cases else "")
        for row in found.itertuples()
    )
    if any(found["n_scored"] < found["n_cases"]):
        counts += " (a case with nothing to find in which no network found anything has no Dice and is left out)"
    gits = [record.get("git") or {} for record in records]
    code = ", ".join(sorted({str(git.get("commit") or "unknown")[:7] for git in gits}))
    code += " with local changes" if any(git.get("dirty") for git in gits) else ""
    protocol = f"protocol {dataset['protocol']}, " if dataset.get("protocol") else ""
    return [
        *folds(comparison),
        f"Data: {dataset.get('name')}, {protocol}"
        f"fingerprint {str(dataset.get('fingerprint'))[:8]}. Test sets: {counts}.",
        f"Scoring: {distinct(records, 'evaluation', 'scoring')}. Threshold: "
        f"{distinct(records, 'evaluation', 'threshold')} ({distinct(records, 'evaluation', 'rule')}). Checkpoint: "
        f"{distinct(records, 'evaluation', 'checkpoint')}, chosen by {whose(comparison, 'selection', 'rule')}.",
        f"Seeds: {_seeds(comparison)}. Code: {code}.",
    ]


def folds(comparison: Comparison) -> list[str]:
    """What a table of a cross-validation has to say besides: how many folds, and who lacks one."""
    if not (found := comparison.folds):
        return []
    listed = "" if found == list(range(len(found))) else f" ({', '.join(map(str, found))})"
    return [
        f"Cross-validation: {len(found)} folds{listed}, every case scored by the network that did not see it. \u00b1 "
        "over folds: standard deviation of each fold's own mean; folds differ in their cases and in what they learned.",
        *statistics.lacking(comparison),
    ]


def is_sample(comparison: Comparison) -> bool:
    """Whether the compared data is the built-in sample."""
    return Path(str(comparison.dataset.get("path"))).parts[:2] == ("data", "sample")


def distinct(records: Iterable[dict], part: str, key: str) -> str:
    """The different values of ``key`` in a part of the ``records``, readable."""
    found = [(record.get(part) or {}).get(key) for record in records]
    return " / ".join(dict.fromkeys(readable(value) for value in found if value is not None)) or "not recorded"


def whose(comparison: Comparison, part: str, key: str) -> str:
    """As :func:`distinct` over all records; where configurations differ, the most usual and those that have another."""
    values = {c.label: distinct(c.records, part, key) for c in comparison.trained.configurations}
    usual, *others = [value for value, _ in Counter(values.values()).most_common()] or ["not recorded"]
    own = [f"for {joined(label for label, own in values.items() if own == other)}: {other}" for other in others]
    return "; ".join([usual, *own])


def _seeds(comparison: Comparison) -> str:
    sets = {c.label: ", ".join(map(str, c.seeds)) for c in comparison.trained.configurations}
    if not sets:
        return "none, nothing was trained here"
    first, *others = set(sets.values())
    said = "; ".join(map(": ".join, sets.items())) if others else f"{first} for every configuration"
    mixed = any(len({_made(record) for record in c.records}) > 1 for c in comparison.trained.configurations)
    return f"{said} (of some, runs differ in code or machine too)" if mixed else said


def _made(record: dict) -> tuple[Any, Any]:
    """Code and machine of a run."""
    return (record.get("git") or {}).get("commit"), (record.get("device") or {}).get("name")


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else np.nan
