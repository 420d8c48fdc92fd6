"""The paired statistics as tables: every configuration against the best one, and the best by every measure."""

from typing import Any

import numpy as np

from medseg.metrics.compare import WORSE
from medseg.reporting import statistics
from medseg.reporting.comparison import MOST, Comparison
from medseg.reporting.fragments import Cell, Fragment, Row, Table, capital, number, numeric, sentence, signed, words


def table(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment:
    """Differences in Dice to the best configuration of each test set, with interval, p value and verdict."""
    found = statistics.differences(comparison, margin=margin)
    if found.empty:
        return sentence("There is nothing to compare yet: one configuration was scored.")
    rows = []
    for test_set, part in found.groupby("test_set", sort=False):
        ordered = part.sort_values("difference", ascending=False, kind="stable")
        for place, entry in enumerate(ordered.itertuples()):
            counted = f"{entry.n} cases\n{entry.n_groups} groups\n{_uneven_trainings(comparison, entry)}"
            over = Cell(str(test_set), note=counted.strip())
            pair = [_named(comparison, entry.run), over, _named(comparison, entry.reference)]
            told = [_difference(entry), _verdict(entry, entry.note), number(entry.detectable)]
            rows.append(Row([*pair, *told], folded=place >= MOST))
    columns = words("Configuration", "Test set", "Best there") + numeric("Difference") + words("Verdict")
    columns += numeric("Detectable")
    notes = [
        "Difference in Dice over the same cases, below it the 95 % interval; below the test set cases and groups, and "
        "how often the two were trained where that differs. Interval and p: studentised bootstrap of whole "
        "groups (patients or video sequences). p is corrected by Holm for all pairs on the test set, the interval is "
        "that of the pair alone; in brackets it was cut at the measure's bounds.",
        f"Verdict: worse, where the interval excludes 0 and p is below 0.05; equivalent, where the whole interval lies "
        f"within ±{margin:g}; else not settled, which does not mean equal. Detectable: about the smallest true "
        "difference that 80 of 100 such samples of groups would tell, p corrected as here.",
        *statistics.too_many(comparison),
        *statistics.caveats(comparison),
        *statistics.empties(comparison),
        *statistics.lacking(comparison),
    ]
    return Table("Paired differences to the best configuration", columns, rows, notes).fragment()


def by_measure(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment:
    """For each measure of the cases besides Dice, and each test set: the best configuration and the one next to it."""
    rows = []
    for measure in statistics.measured(comparison, besides=["dice"]):
        if not measure.tested:
            continue
        found = statistics.differences(comparison, measure.name, margin)
        first = tuple(dict.fromkeys(found["reference"]))
        average = statistics.means(comparison, measure.name, of=first).set_index(["test_set", "run"])
        for test_set, part in found.groupby("test_set", sort=False):
            nearest = part.sort_values("difference", ascending=measure.lower_is_better, kind="stable").iloc[0]
            best = average.loc[(test_set, nearest["reference"])]
            digits = 3 if measure.high < 2 else 1
            worse = f"better than {(part['verdict'] == WORSE).sum()} of {len(part)}"
            rows.append(
                [
                    *map(Cell, (capital(measure.heading), str(test_set))),
                    _named(comparison, nearest["reference"]),
                    number(
                        best["mean"], digits := 3 if measure.high < 2 else 1, note=statistics.interval(best, digits)
                    ),
                    _named(comparison, nearest["run"]),
                    _difference(nearest, digits),
                    _verdict(nearest, worse),
                ]
            )
    if not rows:
        return sentence("No further measure can be compared.")
    columns = words("Measure", "Test set", "Best there") + numeric("Mean") + words("Next to it")
    columns += numeric("Difference") + words("Verdict")
    notes = [
        "Tested as Dice is, each measure by itself: the more measures, the more of them differ by chance. The verdict "
        "is on the one next to the best; better than: how many of the others the best is."
    ]
    return Table("The best by other measures", columns, rows, notes).fragment()


def _uneven_trainings(comparison: Comparison, entry: Any) -> str:
    """Of a row of :func:`differences` how often its two were trained, where that is not as often."""
    count = {c.label: len(c.cases) for c in comparison.configurations}
    one, other = count[entry.run], count[entry.reference]
    return "" if one == other else f"trained {one} : {other}"


def _named(comparison: Comparison, label: str) -> Cell:
    configuration = next(c for c in comparison.configurations if c.label == label)
    return Cell(configuration.name, note=configuration.details)


def _difference(entry: Any, digits: int = 3) -> Cell:
    """Difference of a row of :func:`differences`, its interval below."""
    known = np.isfinite([entry.low, entry.high]).all()
    between = f"{signed(entry.low, digits)} to {signed(entry.high, digits)}" if known else "no interval"
    between = f"({between})" if known and entry.cut else between
    return Cell(signed(entry.difference, digits), entry.difference, note=between)


def _verdict(entry: Any, note: str) -> Cell:
    """Verdict of a row of :func:`differences`, its p value and a note below."""
    p = f"p {statistics.p_value(entry.p_holm, '= ')}" if entry.p_holm == entry.p_holm else ""
    return Cell(entry.verdict, note=f"{p}\n{note}".strip())
