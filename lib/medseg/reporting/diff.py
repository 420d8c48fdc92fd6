"""In what two runs differ: what was asked, on which data, with which code and packages; and what came out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.identity import as_before, readable_weights
from medseg.experiments.listing import means
from medseg.experiments.runs import Run
from medseg.metrics import compare
from medseg.reporting.comparison import readable

_DATA = ("name", "protocol", "fingerprint", "counts", "classes")
_ABSENT = "-"
_DICE: Mapping[str, Any] = {"metric": "dice"}


@dataclass(frozen=True)
class Difference:
    """The second run against the first one.

    Attributes:
        changed: for each of parameters, data, code, packages and machine the entries that differ, with both values.
        means: mean Dice of each run on its test sets.
        paired: mean Dice of the second minus that of the first over the cases of both, a row for each test set; the
            columns are those of :func:`medseg.metrics.compare.compare_runs`.
        not_paired: why there is no such difference; empty where there is.
    """

    first: Run
    second: Run
    changed: dict[str, dict[str, tuple[Any, Any]]]
    means: tuple[dict[str, float | None], dict[str, float | None]]
    paired: pd.DataFrame = field(repr=False)
    not_paired: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a program; NaN is None."""
        columns = ["test_set", "difference", "low", "high", "p", "n", "n_groups", "verdict", "note"]
        table = self.paired[columns].astype(object)
        return {
            "runs": [self.first.id, self.second.id],
            "changed": {part: {k: list(v) for k, v in found.items()} for part, found in self.changed.items()},
            "dice": list(self.means),
            "paired": table.where(table.notna(), None).to_dict("records"),
            "not_paired": self.not_paired or None,
        }

    def as_text(self) -> str:
        """For a person."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"A  {self.first.folder.parent.name}/{self.first.id}"
        yield f"B  {self.second.folder.parent.name}/{self.second.id}"
        for part, found in self.changed.items():
            yield f"\n{part}" + ("" if found else ": the same")
            width = max(map(len, found), default=0)
            for name, (one, other) in found.items():
                yield f"  {name:<{width}}  {readable(one)}  ->  {readable(other)}"
        yield "\nmean Dice"
        for name in dict.fromkeys([*self.means[0], *self.means[1]]):
            one, other = (_three_digits(found.get(name)) for found in self.means)
            yield f"  {name}  {one}  ->  {other}"
        if not any(self.means):
            yield "  neither is scored"
        for row in self.paired.itertuples():
            interval = f"{row.low:+.3f} to {row.high:+.3f}" if row.low == row.low else "no interval"
            yield (
                f"  {row.test_set}: B - A {row.difference:+.3f} ({interval}, 95 %), {row.n} cases of {row.n_groups} "
                f"groups: {'B is ' if row.verdict in (compare.BETTER, compare.WORSE) else ''}{row.verdict}"
                + (f" ({row.note})" if row.note else "")
            )
        if len(self.paired):
            yield "  One training of each: what another seed would give is not in the interval."
        if self.not_paired:
            yield f"  not compared case by case: {self.not_paired}"


def of_runs(first: Run, second: Run) -> Difference:
    """Compare two runs of whatever study.

    Raises:
        MedsegError: they are one and the same.
    """
    if first.folder.resolve() == second.folder.resolve():
        raise MedsegError(f"Both are the run {first.id}: name two different ones.")
    records = first.record, second.record
    changed = {part: _changed(*(of(record) for record in records)) for part, of in _PARTS.items()}
    pair, reason = _paired(first, second)
    return Difference(first, second, changed, (means(first), means(second)), pair, reason)


def _paired(first: Run, second: Run) -> tuple[pd.DataFrame, str]:
    unscored = [run.id for run in (first, second) if not run.evaluated]
    if unscored:
        return pd.DataFrame(columns=compare.COLUMNS), f"not scored: {', '.join(unscored)}"
    try:
        # Of two runs named beforehand the first is the reference, wherever the better one stands.
        tables = {second.id: [second.cases()], first.id: [first.cases()]}
        return compare.compare_runs(tables, reference=first.id, **_DICE), ""
    except MedsegError as error:
        return pd.DataFrame(columns=compare.COLUMNS), str(error)


def _parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    given = record.get("parameters", {})
    before = {} if record.get("brought") else as_before(given)
    return {"notebook": record.get("stage"), **before, **given, **readable_weights(record)}


def _data(record: Mapping[str, Any]) -> dict[str, Any]:
    data = record.get("dataset", {})
    return {name: _short(data.get(name)) for name in _DATA}


def _code(record: Mapping[str, Any]) -> dict[str, Any]:
    git = record.get("git", {})
    return {"commit": git.get("commit"), "uncommitted changes": git.get("dirty")}


def _machine(record: Mapping[str, Any]) -> dict[str, Any]:
    return dict(record.get("device", {}))


_PARTS = {
    "parameters": _parameters,
    "data": _data,
    "code": _code,
    "packages": lambda record: dict(record.get("versions", {})),
    "machine": _machine,
}


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*one, *other])
    pairs = {name: (one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _short(value: Any) -> Any:
    """Counts and classes as they are read; a fingerprint by its first digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(entry)}" for name, entry in value.items())
    return value[:12] if isinstance(value, str) and len(value) == 64 else value


def _three_digits(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.3f}"
