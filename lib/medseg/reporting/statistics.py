"""Whether differences are real: the paired statistics as a table, and the report's claim in words."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from medseg.evaluation.measures import Measure, named
from medseg.metrics.compare import FEW_GROUPS, compare_runs
from medseg.reporting import measure_table
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Cell, Fragment, Table, number, numeric, sentence, signed, words


def differences(comparison: Comparison, metric: str = "dice") -> pd.DataFrame:
    """Every configuration against the best one of each test set; see :func:`medseg.metrics.compare.compare_runs`.

    Where one lacks a fold, over the cases of the folds that all have.

    ``run`` and ``reference`` are labels of configurations. Several seeds of a configuration count as one run whose
    score of a case is the mean over the seeds.
    """
    measure = named(metric)
    cases = {c.label: _mean_over_seeds(c, measure) for c in comparison.shared}
    return compare_runs(cases, **measure.comparing)


def table(comparison: Comparison) -> Fragment:
    """Differences in Dice to the best configuration of each test set, with interval and corrected p value."""
    found = differences(comparison)
    if found.empty:
        return sentence("There is nothing to compare yet: one configuration was scored.")
    rows = []
    for test_set, part in found.groupby("test_set", sort=False):
        for entry in part.sort_values("difference", ascending=False, kind="stable").itertuples():
            rows.append(
                [
                    *map(Cell, (entry.run, str(test_set), entry.reference)),
                    *_difference(entry),
                    number(entry.n, 0, note=f"{entry.n_groups} groups"),
                    Cell("yes" if entry.distinguishable else "no", note=entry.note),
                ]
            )
    columns = words("Configuration", "Test set", "Best there")
    columns += numeric("Difference", "95 % interval", "p, Holm", "Cases") + words("Told apart")
    notes = [
        "Difference in Dice over the same cases. Interval: bootstrap that draws whole groups (patients or video "
        "sequences). p: Wilcoxon's signed-rank test over the groups, corrected by Holm for all comparisons on the test "
        "set. Told apart: the interval excludes 0 and p is below 0.05.",
        *_seed_warning(comparison),
        *measure_table.lacking(comparison),
    ]
    return Table("Paired differences to the best configuration", columns, rows, notes).fragment()


def claim(comparison: Comparison) -> Fragment:
    """What the runs show, in a sentence per test set, computed from the same numbers as the tables."""
    found = differences(comparison)
    sentences = [_sentence(comparison, test_set, found) for test_set in comparison.test_sets]
    several = len(comparison.configurations) > 1
    warnings = [*_seed_warning(comparison), *measure_table.lacking(comparison)] if several else []
    html = "".join(f'<p class="claim">{escape(sentence)}</p>' for sentence in sentences)
    html += "".join(f'<p class="caveat">{escape(sentence)}</p>' for sentence in warnings)
    return Fragment(html, "\n".join([*sentences, *warnings]))


def by_measure(comparison: Comparison) -> Fragment:
    """For each measure of the cases besides Dice, and each test set: the best configuration and the one next to it."""
    rows = []
    for measure in measure_table.measured(comparison, besides=["dice"]):
        found = differences(comparison, measure.name) if measure.tested else pd.DataFrame(columns=["test_set"])
        for test_set, part in found.groupby("test_set", sort=False):
            nearest = part.sort_values("difference", ascending=measure.lower_is_better, kind="stable").iloc[0]
            first = next(c for c in comparison.shared if c.label == nearest["reference"])
            mean = _mean_over_seeds(first, measure).query("test_set == @test_set")[measure.name].mean()
            told_apart = f"{int(part['distinguishable'].sum())} of {len(part)}"
            rows.append(
                [
                    *map(Cell, (measure_table.capital(measure.heading), str(test_set), first.label)),
                    *(number(mean), Cell(told_apart), Cell(nearest["run"])),
                    *_difference(nearest),
                ]
            )
    if not rows:
        return sentence("No further measure can be compared.")
    columns = words("Measure", "Test set", "Best there") + numeric("Mean", "Told apart from")
    columns += words("Next to it") + numeric("Difference", "95 % interval", "p, Holm")
    notes = [
        "Tested as Dice is, each measure by itself: the more measures, the more of them differ by chance. Told apart "
        "from: how many of the other configurations."
    ]
    return Table("The best by other measures", columns, rows, notes).fragment()


def best(comparison: Comparison, test_set: str) -> Configuration:
    """The configuration of highest mean Dice on a test set, over the cases that all have."""
    tables = [[cases[cases["test_set"] == test_set] for cases in c.cases] for c in comparison.shared]
    means = [np.mean([cases["dice"].mean() for cases in seeds]) for seeds in tables]
    return comparison.configurations[int(np.argmax(np.nan_to_num(means, nan=-1)))]


def case_differences(one: Configuration, other: Configuration, test_set: str, metric: str = "dice") -> np.ndarray:
    """A measure of ``one`` minus that of ``other`` for every case of a test set in which at least one of the two has a
    value; where one has none, it rightly found nothing, which counts as perfect.
    """
    measure = named(metric)
    pair = [_mean_over_seeds(c, measure).set_index(["test_set", "case_id", "class"])[metric] for c in (one, other)]
    both = pd.concat(pair, axis=1, keys=["one", "other"]).loc[[test_set]].dropna(how="all").fillna(_perfect(measure))
    return (both["one"] - both["other"]).to_numpy()


def _sentence(comparison: Comparison, test_set: str, found: pd.DataFrame) -> str:
    tables = {c.label: _mean_over_seeds(c, named("dice")) for c in comparison.shared}
    tables = {label: cases[cases["test_set"] == test_set] for label, cases in tables.items()}
    means = {label: cases["dice"].mean() for label, cases in tables.items()}
    cases = next(iter(tables.values()))
    classes = cases["class"].nunique()
    size = f"{cases['case_id'].nunique()} cases" + (f" with {classes} classes each" if classes > 1 else "")
    size += f" from {cases['group'].nunique()} patients or sequences"
    found = found[found["test_set"] == test_set].sort_values("difference", ascending=False, kind="stable")
    if found.empty:
        label, mean = next(iter(means.items()))
        return f"On {test_set}, {label} reaches a mean Dice of {mean:.3f} ({size})."
    best = found["reference"].iloc[0]
    start = f"On {test_set}, {best} has the highest mean Dice, {means[best]:.3f} ({size})"
    if found["n_groups"].min() < FEW_GROUPS:
        return f"{start}; these are too few to say whether any difference is real."
    told_apart = found["distinguishable"].astype(bool)
    tied, apart = found[~told_apart], found[told_apart]
    if apart.empty:
        return f"{start}, but {_listed(tied['run'], len(found))} cannot be told apart from it."
    nearest = apart.iloc[0]
    interval = f"95 % interval {-nearest['high']:.3f} to {-nearest['low']:.3f}, p {_p(nearest['p_holm'], '= ')}"
    margin = f"{-nearest['difference']:.3f} above {nearest['run']} ({interval})"
    if tied.empty:
        return f"{start}. It is {margin}" + (", and further above the others." if len(apart) > 1 else ".")
    return f"{start}; {_listed(tied['run'], len(found))} cannot be told apart from it. It is {margin}."


def _mean_over_seeds(configuration: Configuration, measure: Measure) -> pd.DataFrame:
    """Cases of a configuration with the mean of a measure over its seeds; a case that one seed leaves empty rightly
    (NaN) while another does not counts as perfect for the former, as between runs.
    """
    key = ["test_set", "case_id", "class"]
    tables = [cases.set_index(key)[measure.name] for cases in configuration.cases]
    together = pd.concat(tables, axis=1)
    mean = together.fillna(_perfect(measure)).mean(axis=1).where(together.notna().any(axis=1))
    first = configuration.cases[0]
    return first.assign(**{measure.name: mean.loc[pd.MultiIndex.from_frame(first[key])].to_numpy()})


def _perfect(measure: Measure) -> float:
    return measure.low if measure.lower_is_better else measure.high


def _seed_warning(comparison: Comparison) -> list[str]:
    fewest = min(len(c.seeds) for c in comparison.configurations)
    if fewest > 2:
        return []
    number = "One seed" if fewest == 1 else "Two seeds"
    return [
        f"{number} per configuration: the intervals say how the result depends on the choice of cases, not how it "
        "would vary from one training to the next."
    ]


def _difference(entry: Any) -> list[Cell]:
    """Difference, interval and p value of a row of :func:`differences`."""
    interval = "none" if entry.low != entry.low else f"{signed(entry.low)} to {signed(entry.high)}"
    return [
        Cell(signed(entry.difference), entry.difference), Cell(interval), Cell(_p(entry.p_holm), entry.p_holm)
    ]  # fmt: skip


def _p(value: float, equals: str = "") -> str:
    if value != value:
        return "\u2013"
    return "< 0.001" if value < 0.001 else f"{equals}{value:.3f}"


def _listed(labels: Iterable[str], others: int) -> str:
    """The labels where they are few, else how many of the ``others`` they are."""
    names = list(labels)
    if len(names) > 3:
        return f"{'all' if len(names) == others else len(names)} of the {others} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
