"""Whether some cases fare worse than others: mean Dice by size, source and what else is known of a case."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from medseg import registry
from medseg.metrics import compare
from medseg.metrics.overlap import COUNTS
from medseg.metrics.paired import KEY
from medseg.reporting import statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Column, Fragment, Row, Table, number, sentence, words

_COLUMNS = 6  # configurations that a table shows, the best by Dice
_LETTERS = 24  # of what differs between configurations that a heading has room for
_FEW = 5  # cases below which a stratum has no mean
_MOST = 8  # values of a fact that are told apart
_THIRDS = 3
_CLASS = "true_phase"  # of the picture, as the class maps of an evaluation have it: a number, but a name


def table(comparison: Comparison) -> Fragment:
    """Mean Dice, with its 95 % interval, of every stratum and configuration, the cases of all test sets together.

    Strata are thirds by the share of the picture that the truth covers; where there are several, test sets and sources
    (the first part of a case's name); and what ``cases.csv`` knows of the cases: the facts of the study, in thirds
    where they are numbers, and the class of the picture.
    """
    configurations = sorted(comparison.shared, key=lambda c: -_mean(c.cases))[:_COLUMNS]
    facts = (*registry.find(comparison.records[0]["study"]).facts, _CLASS)
    strata = {name: of for name, of in _strata(configurations[0].cases[0], facts).items() if of.nunique() > 1}
    if not strata:
        return sentence("Nothing is known by which these cases could be told apart.")
    rows: list[Row] = []
    for name, of in strata.items():
        # A stratum takes the place of the test set; of the cases of a stratum all are kept, of the others none.
        stratum = of.groupby(level=[0, 1, 2]).first()
        placed = {c.label: [_in(cases, stratum) for cases in c.cases] for c in configurations}
        found = compare.means(placed, metric="dice").set_index(["run", "test_set"])
        for value in _order(of):
            first = found.loc[(configurations[0].label, value)]
            counts = Cell(
                str(first["n"]),
                float(first["n"]),
                note=f"{first['n_groups']} group{'s' if first['n_groups'] > 1 else ''}",
            )
            cells = [Cell(f"{name}: {value}"), counts]
            for c in configurations:
                row = found.loc[(c.label, value)]
                few = row["n"] < _FEW
                cells.append(Cell("too few") if few else number(row["mean"], note=statistics.interval(row)))
            rows.append(Row(cells))
    numbered = max(len(c.details) for c in configurations) > _LETTERS
    heads = [Column(f"{i}. {c.name}" if numbered else c.name, "" if numbered else c.details)
             for i, c in enumerate(configurations, 1)]  # fmt: skip
    told = [f"{i}. {c.label}" for i, c in enumerate(configurations, 1)]
    notes = [
        *([f"Columns: {'; '.join(told)}."] if numbered else []),
        "Mean Dice over the cases of all test sets that belong to the stratum, below it the 95 % interval over groups "
        "(in brackets where it is not to be relied on). Thirds: of the cases by the share of the "
        "picture that the truth covers, or by the number; nothing: the truth is empty. Strata overlap and are not "
        "tested against each other: a difference between them may be that of another fact.",
    ]
    if len(configurations) < len(comparison.configurations):
        notes.append(f"The {len(configurations)} of {len(comparison.configurations)} configurations of highest Dice.")
    return Table(
        "By kind of case", [*words("Stratum"), Column("Cases"), *heads], rows, notes, sortable=False
    ).fragment()


def _strata(cases: pd.DataFrame, facts: tuple[str, ...]) -> Mapping[str, pd.Series]:
    """For every way to tell cases apart the stratum of each row of :data:`medseg.metrics.paired.KEY`, a text."""
    table = cases.set_index(KEY)
    pixels = table[list(COUNTS)].sum(axis=1)
    share = 100 * (table["tp"] + table["fn"]) / pixels
    found = {"Size": _thirds(share[share > 0], "{:.2g}\u2013{:.2g} % of the picture").reindex(share.index)}
    found["Size"] = found["Size"].fillna("nothing")
    sets = pd.Series(table.index.get_level_values("test_set"), table.index)
    found["Test set"] = sets
    names = pd.Series(table.index.get_level_values("case_id"), table.index).astype(str)
    if names.str.contains("/").all() and names.str.partition("/")[0].nunique() != len(names):
        source = names.str.partition("/")[0]
        # Folders of single patients are no sources.
        several = table["group"].groupby(source).nunique().gt(1).all()
        if several and source.nunique() != sets.nunique() and source.nunique() <= _MOST:
            found["Source"] = source
    for fact in facts:
        if fact not in table or table[fact].isna().all():
            continue
        values = table[fact]
        title = fact.removeprefix("true_").replace("_", " ").capitalize()
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > _THIRDS and fact != _CLASS:
            known = _thirds(values.dropna(), "{:g}\u2013{:g}").reindex(values.index)
        else:
            known = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value), "ignore")
            known = known if known.nunique() <= _MOST else known.where(False)
        found[title] = known.astype(object).fillna("not known")
    return found


def _thirds(values: pd.Series, pattern: str) -> pd.Series:
    """The third in which each value lies, called by its lowest and highest; fewer where many are equal."""
    if values.nunique() < _THIRDS:
        return values.map(lambda value: _span(pattern, value, value))
    codes = pd.qcut(values, _THIRDS, labels=False, duplicates="drop")
    ends = values.groupby(codes).agg(["min", "max"])
    return codes.map({code: _span(pattern, low, high) for code, low, high in ends.itertuples()})


def _span(pattern: str, low: float, high: float) -> str:
    """``40 to 52`` by a pattern with a dash, or ``40`` where both ends read the same."""
    first, _, rest = pattern.format(low, high).partition("\u2013")
    return rest if rest.split()[0] == first else f"{first}\u2013{rest}"


def _order(of: pd.Series) -> list[str]:
    """Numbers by their size, else as they come; what is not known last."""

    def key(value: str) -> tuple[bool, float, str]:
        start = value.replace("\u2013", " ").split()[0]
        try:
            return value in ("not known", "nothing"), float(start), value
        except ValueError:
            return value in ("not known", "nothing"), 0, ""

    return sorted(of.unique(), key=key)


def _in(cases: pd.DataFrame, stratum: pd.Series) -> pd.DataFrame:
    """Cases with their stratum for a test set; a case is called by both, since names may come again."""
    keys = pd.MultiIndex.from_frame(cases[KEY].astype(stratum.index.dtypes.to_dict()))
    named = cases["test_set"].astype(str) + "/" + cases["case_id"].astype(str)
    return cases.assign(case_id=named, test_set=stratum.reindex(keys).to_numpy())


def _mean(tables: tuple[pd.DataFrame, ...]) -> float:
    return float(np.nanmean([cases["dice"].mean() for cases in tables]))
