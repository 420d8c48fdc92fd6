"""The report's answer: what the runs show, in words, computed from the same numbers as the tables.

``docs/statistics.md`` tells a reader what each word means.
"""

from collections.abc import Iterable
from html import escape

import pandas as pd

from medseg.metrics.compare import EQUIVALENT, UNSETTLED, WORSE
from medseg.metrics.paired import ENOUGH_TRAININGS
from medseg.names import joined
from medseg.reporting import audit, statistics
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment

_CAVEATS = (statistics.too_many, statistics.caveats, statistics.empties, statistics.lacking)


def claim(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment:
    """What the runs show, in a paragraph per test set, computed from the same numbers as the tables."""
    found = [_paragraph(comparison, test_set, margin) for test_set in comparison.test_sets]
    caveats = audit.caveats(comparison)
    if len(comparison.configurations) > 1:
        caveats += [note for say in _CAVEATS for note in say(comparison)]
    html = "".join(f'<p class="claim">{escape(text)}</p>' for text in found)
    html += "".join(f'<p class="caveat">{escape(text)}</p>' for text in caveats)
    return Fragment(html, "\n".join([*found, *caveats]))


def _paragraph(comparison: Comparison, test_set: str, margin: float) -> str:
    average = statistics.means(comparison).query("test_set == @test_set").set_index("run")
    found = statistics.differences(comparison, margin=margin)
    found = found[found["test_set"] == test_set].sort_values("difference", ascending=False, kind="stable")
    found = found.assign(times=found["run"].map({c.label: len(c.cases) for c in comparison.configurations}))
    first = statistics.best(comparison, test_set)
    top = next(c for c in comparison.shared if c.number == first.number)
    mean = average.loc[top.label]
    classes = top.cases[0]["class"].nunique()
    in_set = [cases[cases["test_set"] == test_set] for cases in top.cases]
    cases, scored = (each["case_id"].nunique() for each in (in_set[0], in_set[0].dropna(subset=["dice"])))
    size = f"{cases if cases == scored else f'{scored} of {cases}'} cases" + (
        f" with {classes} classes each" if classes > 1 else ""
    )
    guessed = " (a guess)" if test_set in audit.guessed(comparison) else ""
    size += f" from {in_set[0]['group'].nunique()} patients or sequences{guessed}"
    known, doubt = "no interval", f": {mean['doubt']}"
    if statistics.interval(mean):
        known, doubt = f"95 % interval {mean['low']:.3f} to {mean['high']:.3f}", f", in doubt{doubt}"
    known += doubt if mean["doubt"] else ""
    given = f"({known}; {size}; {statistics.trainings(comparison, first)}"
    if found.empty:
        return f"On {test_set}, {top.label} reaches a mean Dice of {mean['mean']:.3f} {given})."
    start = f"On {test_set}, {top.label} has the highest mean Dice, {mean['mean']:.3f} {given}; margin {margin:g})."
    verdicts = {name: part for name, part in found.groupby("verdict", sort=False)}
    parts = [write(top, verdicts[name], len(found)) for name, write in _WRITERS.items() if name in verdicts]
    return " ".join([start, *parts])


def _worse(top: Configuration, found: pd.DataFrame, others: int) -> str:
    nearest = found.iloc[0]
    by = f"{-nearest['difference']:.3f} (95 % interval {-nearest['high']:.3f} to {-nearest['low']:.3f}, "
    by += f"p {statistics.p_value(nearest['p_holm'], '= ')})"
    listed = _listed(found["run"], others)
    more = "" if len(found) == 1 else f", of which {nearest['run']} comes nearest"
    if found["trainings"].min() >= ENOUGH_TRAININGS:
        return f"{top.label} is better than {listed}{more}, by {by}."
    which = "This training" if len(top.runs) == 1 else "These trainings"
    theirs = which.lower() if set(found["times"]) == {len(top.cases)} else "the trainings at hand"
    return f"{which} of {top.label} beat {theirs} of {listed}{more}, by {by}."


def _equivalent(top: Configuration, found: pd.DataFrame, others: int) -> str:
    widest = found[["low", "high"]].abs().max(axis=None)
    verb = "is" if len(found) == 1 else "are"
    return f"{_listed(found['run'], others)} {verb} equivalent to it: at most {widest:.3f} apart."


def _unsettled(top: Configuration, found: pd.DataFrame, others: int) -> str:
    verb = "differs" if len(found) == 1 else "differ"
    text = f"Whether {_listed(found['run'], others)} {verb} from it is not settled"
    if len(found) == others > statistics.NAMED:
        text = f"Whether any of the {others} others differs from it is not settled"
    doubts = found["doubt"].unique()
    if len(doubts) == 1 and doubts[0]:
        return f"{text}: {doubts[0]}."
    reach = found["detectable"].dropna()
    if reach.empty:
        return f"{text}."
    least, most = (f"{value:.3f}" for value in (reach.min(), reach.max()))
    reach = least if least == most else f"{least} to {most}"
    return f"{text}; {found['n_groups'].min()} such groups can tell differences of about {reach} or more."


_WRITERS = {WORSE: _worse, EQUIVALENT: _equivalent, UNSETTLED: _unsettled}


def _listed(labels: Iterable[str], others: int) -> str:
    """The labels where they are few, else how many of the ``others`` they are."""
    names = list(labels)
    if len(names) > statistics.NAMED:
        return f"all {others} others" if len(names) == others else f"{len(names)} of the {others} others"
    return joined(names)
