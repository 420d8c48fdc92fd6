"""What configurations cost: their size, and the time of a picture where it may be compared.

``evaluation/cost.py`` measures it. A configuration has the median over its runs. Times are compared on one machine
alone, that of most runs: the same device, and on a CPU the same number of threads.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from medseg.evaluation import cost
from medseg.names import listed
from medseg.reporting import statistics
from medseg.reporting.comparison import MOST, Comparison
from medseg.reporting.fragments import Cell, Column, Fragment, Row, Table, number, numeric, words

#: Measured once for every pass, so that the cost of a picture is that of its passes.
FLIP = "flip"


@dataclass(frozen=True)
class Cost:
    """Of a configuration, a picture as it was scored: twice a pass where it was seen mirrored as well.

    Attributes:
        parameters: how many.
        gmacs: billions of multiply-accumulates; None where they cannot be told.
        ms: milliseconds, one picture at a time.
        per_second: pictures, ``batch`` at a time.
        passes: through the network; None where they differ in size or number, and the figures are those of one pass.
        where: on which device, and of a CPU with how many threads, the times were taken.
        precision: in which the network computed.
        comparable: whether that is where most runs were timed, and there was a processor for every thread.
    """

    parameters: float
    gmacs: float | None
    ms: float
    per_second: float
    batch: int
    passes: int | None
    where: str
    precision: str
    others: tuple[float, float]  # least and greatest share of the processors that other processes used meanwhile
    contended: bool
    elsewhere: bool

    @property
    def comparable(self) -> bool:
        return not (self.elsewhere or self.contended)

    @property
    def note(self) -> str:
        """What to know of it, a word or two."""
        if self.passes is None:
            return "of one pass"
        return f"{self.passes} passes" if self.passes > 1 else ""


def of(comparison: Comparison) -> dict[str, Cost]:
    """By label the configurations of which anything is known."""
    known = {c.label: [r for r in c.records if "cost" in r] for c in comparison.configurations}
    places = Counter(_where(record["cost"]) for records in known.values() for record in records)
    usual = places.most_common(1)[0][0] if places else ""
    return {label: _of(records, usual) for label, records in known.items() if records}


def table(comparison: Comparison) -> Fragment:
    """Mean Dice of every configuration on every test set, its size, and what a picture costs; dashes where unknown."""
    found, average = of(comparison), statistics.means(comparison).set_index(["test_set", "run"])
    rows = []
    for c in comparison.configurations:
        cells = [Cell(c.name, note=c.details)]
        for test_set in comparison.test_sets:
            entry = average.loc[(test_set, c.label)]
            cells.append(number(entry["mean"], note=statistics.interval(entry)))
        rows.append(Row([*cells, *_cells(found.get(c.label))], folded=c.number >= MOST))
    columns = words("Configuration") + [Column("Dice", test_set) for test_set in comparison.test_sets]
    columns += numeric("Parameters, M", "GMACs", "ms a picture", "Pictures/s")
    return Table("Quality and cost", columns, rows, _notes(comparison, found)).fragment()


def measured_on(comparison: Comparison) -> str:
    """Where and how the times were taken, and which of them do not compare."""
    found = of(comparison)
    here = {label: entry for label, entry in found.items() if not entry.elsewhere}
    by_precision = {
        precision: [label for label, entry in here.items() if entry.precision == precision]
        for precision in sorted({entry.precision for entry in here.values()})
    }
    several = len(by_precision) > 1
    precisions = ", ".join(f"{name} ({listed(own)})" if several else name for name, own in by_precision.items())
    low, high = (f"{100 * end(entry.others[i] for entry in here.values()):.0f}" for i, end in enumerate((min, max)))
    busy = low if low == high else f"{low} to {high}"
    where = next(iter(here.values())).where
    text = f"Times on: {where}, {precisions}; other processes used {busy} % of the processors meanwhile."
    elsewhere = [f"{label} ({entry.where})" for label, entry in found.items() if entry.elsewhere]
    contended = [label for label, entry in found.items() if entry.contended and not entry.elsewhere]
    if elsewhere:
        text += f" Timed elsewhere, and not to be compared: {listed(elsewhere)}."
    if contended:
        text += f" Timed while more was to be computed than there are processors, and so too slow: {listed(contended)}."
    return text


def of_run(measured: Mapping[str, Any]) -> Fragment:
    """What was measured of one run, as :func:`medseg.evaluation.cost.measure` gives it."""
    latency, throughput = measured["latency"], measured["throughput"]
    low, high = latency["quartiles_ms"]
    gmacs = None if measured["macs"] is None else measured["macs"] / 1e9
    device = measured["device"]
    facts = [
        ("parameters", f"{measured['parameters'] / 1e6:.2f} million"),
        (
            "multiply-accumulates",
            "cannot be told" if gmacs is None else f"{gmacs:.{_digits(gmacs)}f} billion a picture",
        ),
        ("resolution", f"{measured['resolution']} px"),
        ("a picture alone", f"{latency['ms']:.{_digits(latency['ms'])}f} ms (quartiles {low:.3g} to {high:.3g})"),
        (f"{throughput['batch']} at a time", f"{throughput['pictures_per_second']:.3g} pictures a second"),
        ("device", f"{_where(measured)}, {device['precision']}"),
        ("other processes", f"used {100 * measured['others']:.0f} % of the processors meanwhile"),
    ]
    notes = ["Of the network alone, warm. GMACs: billions of multiply-accumulates of a picture."]
    rows = [[*map(Cell, fact)] for fact in facts]
    return Table("What a picture costs", words("", ""), rows, notes, sortable=False).fragment()


def _cells(found: Cost | None) -> list[Cell]:
    """Parameters, GMACs, ms and pictures a second."""
    if found is None:
        return [number(None)] * 4
    doubt = "elsewhere" if found.elsewhere else "busy machine" if found.contended else ""
    batch = f"{found.batch} at a time" if found.batch != cost.BATCH else ""
    ms, per_second = ("\n".join(filter(None, (found.note, *said))) for said in ([doubt], [batch, doubt]))
    return [
        number(found.parameters / 1e6, 2),
        number(found.gmacs, _digits(found.gmacs), note=found.note),
        number(found.ms, _digits(found.ms), note=ms),
        number(found.per_second, _digits(found.per_second), note=per_second),
    ]


def _notes(comparison: Comparison, found: Mapping[str, Cost]) -> list[str]:
    said = [
        "Parameters: of the whole network as it was trained. GMACs: billions of multiply-accumulates (convolutions, "
        "dense layers, matrix products) of a picture at the training resolution.",
        f"ms: one picture at a time; pictures/s: {cost.BATCH} at a time where nothing else is said. Of the network "
        "alone, warm, from pictures in memory to logits: without reading, resizing, thresholds and post-processing. "
        f"{measured_on(comparison)}",
    ]
    lacking = [c.label for c in comparison.configurations if c.label not in found and not c.brought]
    if lacking:
        said.append(f"Not measured: {listed(lacking)}; run 3_evaluate on them again.")
    return [*said, *statistics.empties(comparison), *statistics.lacking(comparison)]


def _of(records: Sequence[dict[str, Any]], usual: str) -> Cost:
    every = [record["cost"] for record in records]
    passes = _passes(records[0].get("parameters", {}))
    factor = passes or 1
    elsewhere = all(_where(entry) != usual for entry in every)
    where = _where(every[0]) if elsewhere else usual
    there = [entry for entry in every if _where(entry) == where]
    calm = [entry for entry in there if not cost.contended(entry)]
    timed = calm or there
    batch = max(entry["throughput"]["batch"] for entry in timed)
    macs = [entry["macs"] for entry in every]
    speeds = [e["throughput"]["pictures_per_second"] for e in timed if e["throughput"]["batch"] == batch]
    return Cost(
        parameters=median(entry["parameters"] for entry in every),
        gmacs=None if None in macs else factor * median(macs) / 1e9,
        ms=factor * median(entry["latency"]["ms"] for entry in timed),
        per_second=median(speeds) / factor,
        batch=batch,
        passes=passes,
        where=where,
        precision=listed(sorted({entry["device"]["precision"] for entry in timed})),
        others=(min(entry["others"] for entry in timed), max(entry["others"] for entry in timed)),
        contended=not calm,
        elsewhere=elsewhere,
    )


def _passes(parameters: Mapping[str, Any]) -> int | None:
    """Through the network for a picture; None where it is cut into windows, or seen at other sizes too."""
    views = {str(name).strip().lower() for name in parameters.get("tta", ())}
    if parameters.get("window", 0) or views - {FLIP}:
        return None
    return 1 + len(views)


def _where(measured: Mapping[str, Any]) -> str:
    device, threads = measured["device"], measured["threads"]
    if device["kind"] != "cpu":
        return device["name"]
    return f"{device['name']}, {threads} thread{'s' if threads > 1 else ''}"


def _digits(value: float | None) -> int:
    """Decimals that leave about three digits."""
    return 0 if value is None or value >= 100 else 1 if value >= 10 else 2
