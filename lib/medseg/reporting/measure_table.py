"""Tables with a row for each configuration and test set and a column for each figure, the best of a column in bold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from medseg.evaluation import measures
from medseg.evaluation.measures import Measure
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment
from medseg.reporting.tables import Cell, Column, Row, Table, number

#: Note for a table with several configurations.
BOLD = (
    "Bold: best of its column, whether or not chance could explain the difference (see the statistics of paired "
    "differences)."
)


@dataclass(frozen=True)
class Shown:
    """A column.

    Attributes:
        title: of the column.
        of: gives the value of each seed of a configuration on a test set; NaN where there is none.
        lower_is_better: of two values.
        digits: decimals.
    """

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
    columns = [Column("Configuration", numeric=False), Column("Test set", numeric=False)]
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
            rows.append(Row(cells))
    return Table(title, [*columns, *(Column(s.title) for s in shown)], rows, notes).fragment()


def _best(means: dict[int, float], shown: Shown) -> int | None:
    known = pd.Series(means).dropna()
    if len(known) < 2 or (shown.digits == 0 and known.nunique() == 1):
        return None
    return int(known.idxmin() if shown.lower_is_better else known.idxmax())
