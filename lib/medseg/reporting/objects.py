"""Objects instead of pixels: what share of the lesions was found, by size, and how often there is a false alarm."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medseg import registry
from medseg.evaluation.detail import OBJECTS, TRUE
from medseg.metrics import compare, objects
from medseg.metrics.paired import KEY, Paired
from medseg.reporting import evaluation_tables, measure_table, statistics
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment, sentence
from medseg.reporting.measure_table import Shown

_SIZES = ("Smallest", "Middle", "Largest")


def table(comparison: Comparison) -> Fragment:
    """Share of the objects found, also by size, and false positives, of every configuration on every test set.

    Sizes are thirds of all true objects by their share of the picture. Runs that were scored before objects were
    counted are named; where there are no others, a sentence says so.
    """
    kept = evaluation_tables.having(comparison, OBJECTS)
    if not kept:
        return sentence("Objects were not counted when these runs were scored; score them again with 3_evaluate.")
    limits = _limits(kept[0])
    summaries = _Summaries(kept, limits)
    shown = [
        Shown("Found", summaries.column("sensitivity"), below=summaries.interval),
        *(Shown(name, summaries.column(f"sensitivity_{n}")) for n, name in enumerate(_SIZES) if limits),
        Shown("IoU \u2265 0.5", summaries.column("overlapping")),
        Shown("False positives", summaries.column("false_positives"), digits=2),
    ]
    found = summaries.of(kept[0])[0]
    if found["empty_frames"].any():
        shown.append(Shown("Alarms, empty", summaries.column("empty_alarms"), below=summaries.alarms))
    notes = [
        f"Objects are connected parts of a mask; {objects.RULE}. None is too small to count. Found: share of the true "
        "objects, below it how many and the 95 % interval; structures of which no pixel was found are counted in "
        "the table of outlines. IoU \u2265 0.5: share with that much overlap with one predicted object."
    ]
    if found["empty_frames"].any():
        notes.append(
            "False positives: mean number a picture. Alarms, empty: share of the pictures with an empty "
            "label in which anything was marked, below it how many, and false positives a picture of these."
        )
    else:
        notes.append("False positives: mean number a picture.")
    if limits:
        low, high = (f"{100 * limit:.2g} %" for limit in limits)
        notes.append(
            "Smallest, middle, largest: share found of a third of all objects, by the share of the picture that they "
            f"cover: up to {low}, up to {high}, above."
        )
    words = registry.find(comparison.records[0]["study"]).items
    counted = [
        f"{row.Index} {row.objects} objects in {row.frames} {words}, {row.empty_frames} of them without any"
        for row in found.itertuples()
    ]
    notes += [f"Counted: {'; '.join(counted)}.", *evaluation_tables.lacking(comparison, kept, "objects")]
    return measure_table.table("Objects found and false alarms", comparison, shown, notes, kept)


def _limits(configuration: Configuration) -> tuple[float, ...]:
    """The two shares of the picture that cut the true objects into thirds; () where they do not differ."""
    (first, *_), cases = _objects(configuration), configuration.cases[0]
    size = cases.assign(size=cases[["tp", "fp", "fn", "tn"]].sum(axis=1)).groupby(["test_set", "case_id"])["size"]
    true = first[first["kind"] == TRUE].merge(size.first().reset_index(), on=["test_set", "case_id"])
    if true.empty:
        return ()
    low, high = np.quantile(true["pixels"] / true["size"], [1 / 3, 2 / 3])
    return (float(low), float(high)) if low < high else ()


def _objects(configuration: Configuration) -> list[pd.DataFrame]:
    """The objects that each seed was scored on, those of its folds together."""
    return [pd.concat(tables, ignore_index=True) for tables in evaluation_tables.of_seeds(configuration, OBJECTS)]


class _Summaries:
    """:func:`medseg.metrics.objects.summarise` of each seed, made once for a table."""

    def __init__(self, kept: list[Configuration], limits: tuple[float, ...]) -> None:
        self._limits = limits
        self._known: dict[int, tuple[Configuration, list[pd.DataFrame]]] = {}
        self._intervals = _intervals([c.complete for c in kept])

    def of(self, configuration: Configuration) -> list[pd.DataFrame]:
        if id(configuration) not in self._known:
            seeds = zip(_objects(configuration), configuration.cases, strict=True)
            made = [objects.summarise(own, cases, self._limits) for own, cases in seeds]
            self._known[id(configuration)] = configuration, made
        return self._known[id(configuration)][1]

    def column(self, name: str) -> Callable[[Configuration, str], list[float]]:
        return lambda configuration, test_set: [s.at[test_set, name] for s in self.of(configuration)]

    def interval(self, configuration: Configuration, test_set: str) -> str:
        """How many were found, and the 95 % interval of the share; empty where there is nothing to find."""
        counts = measure_table.counted(
            [(s.at[test_set, "found"], s.at[test_set, "objects"]) for s in self.of(configuration)]
        )
        return f"{counts}\n{self._intervals.get((configuration.label, test_set), '')}".strip()

    def alarms(self, configuration: Configuration, test_set: str) -> str:
        """In how many pictures without a finding there was an alarm, and false positives in such a picture."""
        seeds = [s.loc[test_set] for s in self.of(configuration)]
        counts = measure_table.counted([(own["empty_marked"], own["empty_frames"]) for own in seeds])
        return f"{counts}\n{np.mean([own['empty_false_positives'] for own in seeds]):.1f} a picture" if counts else ""


def _intervals(configurations: list[Configuration]) -> dict[tuple[str, str], str]:
    """By label and test set. Those with the same objects, which are all as a rule, share their draws: much faster."""
    together: dict[bytes, dict[str, list[pd.DataFrame]]] = {}
    for c in configurations:
        tables = [_as_cases(own[own["kind"] == TRUE]) for own in _objects(c)]
        same = pd.util.hash_pandas_object(tables[0][[*KEY, "group", "tp"]]).to_numpy().tobytes()
        together.setdefault(same, {})[c.label] = tables
    found = [compare.means(Paired(each), metric="found", together=False) for each in together.values()]
    return {(row["run"], row["test_set"]): statistics.interval(row) for _, row in pd.concat(found).iterrows()}


def _as_cases(true: pd.DataFrame) -> pd.DataFrame:
    """True objects as a table of cases."""
    place = true.groupby(KEY).cumcount().astype(str)
    counts = {"tp": true["pixels"], "fp": 0, "fn": 0, "tn": 0}
    return true.assign(case_id=true["case_id"] + " " + place, **counts)
