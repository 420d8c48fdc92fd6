"""What tables of a comparison share: a row for each configuration and test set, notes on where numbers come from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medseg.evaluation import measures
from medseg.evaluation.measures import Measure
from medseg.metrics.overlap import summarise
from medseg.reporting.comparison import Comparison, Configuration, readable
from medseg.reporting.fragments import Cell, Fragment, Table, number, numeric, words

#: Note for a table with several configurations.
BOLD = (
    "Bold: best of its column, whether or not chance could explain the difference (see the statistics of paired "
    "differences)."
)


@dataclass(frozen=True)
class Shown:
    """A column; ``of`` gives the value of each seed of a configuration on a test set, NaN where there is none."""

    title: str
    of: Callable[[Configuration, str], Iterable[float]]
    lower_is_better: bool = False
    digits: int = 3


def measured(comparison: Comparison, *, besides: Iterable[str] = ()) -> list[Measure]:
    """The measures that ``cases.csv`` of every compared run has values of, without those named."""
    tables = [cases.dropna(axis="columns", how="all") for c in comparison.configurations for cases in c.cases]
    columns = set.intersection(*(set(cases.columns) for cases in tables))
    return [measure for measure in measures.MEASURES if measure.name in columns - set(besides)]


def capital(title: str) -> str:
    """A title at the start of a line: ``Surface Dice``, but ``mDice``."""
    return title if title[1:2].isupper() else title[:1].upper() + title[1:]


def table(
    title: str,
    configurations: Sequence[Configuration],
    test_sets: Sequence[str],
    shown: Sequence[Shown],
    notes: Sequence[str],
) -> Fragment:
    """Mean over the seeds and, where there are several, their standard deviation.

    In bold: the best mean of its column on the test set, where there are several; the first of equal ones, but none
    where all have the same number of something (``digits`` 0).
    """
    rows = []
    for test_set in test_sets:
        values = {c.number: [pd.Series(list(s.of(c, test_set)), dtype=float) for s in shown] for c in configurations}
        best = [_best({place: seeds[i].mean() for place, seeds in values.items()}, s) for i, s in enumerate(shown)]
        for c in configurations:
            cells = [Cell(c.name, note=c.details), Cell(test_set)]
            for s, seeds, first in zip(shown, values[c.number], best, strict=True):
                spread = f"\u00b1 {seeds.std():.{s.digits}f}" if len(seeds) > 1 and s.digits else ""
                mark = "best" if first == c.number else ""
                cells.append(number(seeds.mean(), s.digits, mark=mark, note=spread))
            rows.append(cells)
    return Table(title, words("Configuration", "Test set") + numeric(*(s.title for s in shown)), rows, notes).fragment()


def summarised(column: str) -> Callable[[Configuration, str], Iterable[float]]:
    """The value of a column of :func:`medseg.metrics.overlap.summarise` for each seed."""

    def of(configuration: Configuration, test_set: str) -> list[float]:
        return [summarise(cases).set_index("test_set").loc[test_set, column] for cases in configuration.cases]

    return of


def notes(comparison: Comparison) -> list[str]:
    """What every table has to say: data, protocol, cases, scoring, threshold, seeds, code; from the records."""
    dataset, records = comparison.dataset, comparison.records
    first = comparison.configurations[0].cases[0]
    classes = first["class"].nunique()
    summary = summarise(first)
    counts = "; ".join(
        f"{row.test_set} n = {row.n_cases // classes}"
        + (f" with {classes} classes each" if classes > 1 else "")
        + (f", {row.n_scored} scored" if row.n_scored < row.n_cases else "")
        for row in summary.itertuples()
    )
    if any(summary["n_scored"] < summary["n_cases"]):
        counts += " (a case with nothing to find and nothing found has no Dice and is left out of the mean)"
    gits = [record.get("git") or {} for record in records]
    code = ", ".join(sorted({str(git.get("commit") or "unknown")[:7] for git in gits}))
    code += " with local changes" if any(git.get("dirty") for git in gits) else ""
    protocol = f"protocol {dataset['protocol']}, " if dataset.get("protocol") else ""
    return [
        f"Data: {dataset.get('name')}, {protocol}"
        f"fingerprint {str(dataset.get('fingerprint'))[:8]}. Test sets: {counts}.",
        f"Scoring: {distinct(records, 'evaluation', 'scoring')}. Threshold: "
        f"{distinct(records, 'evaluation', 'threshold')} ({distinct(records, 'evaluation', 'rule')}). Checkpoint: "
        f"{distinct(records, 'evaluation', 'checkpoint')}, chosen by {distinct(records, 'selection', 'rule')}.",
        f"Seeds: {_seeds(comparison)}. Code: {code}.",
    ]


def is_sample(comparison: Comparison) -> bool:
    """Whether the compared data is the built-in sample."""
    return Path(str(comparison.dataset.get("path"))).parts[:2] == ("data", "sample")


def distinct(records: Iterable[dict], part: str, key: str) -> str:
    """The different values of ``key`` in a part of the ``records``, readable."""
    found = [(record.get(part) or {}).get(key) for record in records]
    return " / ".join(dict.fromkeys(readable(value) for value in found if value is not None)) or "not recorded"


def _seeds(comparison: Comparison) -> str:
    sets = {c.label: ", ".join(map(str, c.seeds)) for c in comparison.configurations}
    first, *others = set(sets.values())
    return "; ".join(map(": ".join, sets.items())) if others else f"{first} for every configuration"


def _best(means: dict[int, float], shown: Shown) -> int | None:
    known = pd.Series(means).dropna()
    if len(known) < 2 or (shown.digits == 0 and known.nunique() == 1):
        return None
    return int(known.idxmin() if shown.lower_is_better else known.idxmax())
