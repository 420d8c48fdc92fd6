"""Tables of a comparison in Markdown, written into marked places of a document, so that no figure is typed by hand.

A place begins with ``<!-- medseg: NAME -->`` and ends with ``<!-- /medseg -->``, each a line by itself; ``NAME`` is one
of :data:`TABLES`. What lies between is replaced.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from medseg import atomic, project, registry
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.experiments.sweep import read_rows
from medseg.names import joined
from medseg.reporting import answer, audit, measure_table, statistics
from medseg.reporting.comparison import Comparison, Configuration, readable
from medseg.reporting.results import duration

_PLACE = re.compile(r"^<!-- medseg: ([\w-]+)(?: (\S+))? -->\n(.*?)^<!-- /medseg -->$", re.DOTALL | re.MULTILINE)


def fill(document: Path, comparison: Comparison) -> None:
    """Write the tables of a comparison into the marked places of a Markdown file.

    Raises:
        MedsegError: it cannot be read, has no marked place, or one names no table.
    """
    try:
        text = document.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MedsegError(f"{project.display(document)} cannot be read ({error}). Give a Markdown file.") from error
    atomic.write_text(document, filled(text, comparison, project.display(document)))


def filled(text: str, comparison: Comparison, where: str) -> str:
    """``text`` with its marked places filled; a :class:`MedsegError` that names ``where`` as :func:`fill`."""

    def replaced(place: re.Match) -> str:
        name, argument, _ = place.groups()
        if name not in TABLES:
            raise MedsegError(f"{where}: found a place for {name!r}, expected one of {', '.join(TABLES)}.")
        head = place.group(0).splitlines()[0]
        body = TABLES[name](comparison, argument) if argument else TABLES[name](comparison)
        return f"{head}\n{body}\n<!-- /medseg -->"

    new, places = _PLACE.subn(replaced, text)
    if not places:
        raise MedsegError(
            f"{where} has no place to fill: expected a line '<!-- medseg: scores -->' and later '<!-- /medseg -->'. "
            f"There are {', '.join(TABLES)}."
        )
    return new


def scores(comparison: Comparison) -> str:
    """Mean Dice of each configuration on each test set, with its 95 % interval, in brackets where it is in doubt."""
    items, groups = _words(comparison)
    average = statistics.means(comparison, own=True).set_index(["run", "test_set"])
    first = comparison.configurations[0].complete.cases[0]
    heads = []
    for name in comparison.test_sets:
        own = first[first["test_set"] == name]
        guess = " (a guess)" if name in audit.guessed(comparison) else ""
        heads.append(f"{name}: {own['case_id'].nunique()} {items}, {own['group'].nunique()} {groups}{guess}")
    rows = []
    for c in comparison.configurations:
        cells = []
        for name in comparison.test_sets:
            mean = average.loc[(c.label, name)]
            between = statistics.interval(mean)
            cells.append(f"{mean['mean']:.3f}" + (f", {between}" if between else ""))
        rows.append([_label(c), *cells])
    return _table(["Mean Dice", *heads], rows)


def counts(comparison: Comparison) -> str:
    """For each configuration and test set what a mean hides: structures of which no pixel was found, false alarms; of
    several seeds the lowest and the highest number.
    """
    rows = []
    for c in comparison.configurations:
        for name in comparison.test_sets:
            seeds = [found.loc[name] for found in c.complete.summaries]
            truth = c.complete.cases[0].query("test_set == @name")
            empty = int((truth["tp"] + truth["fn"] == 0).sum())
            alarms = measure_table.counted([(found["n_false_positive"], empty) for found in seeds])
            missed = measure_table.counted([(found["n_missed"], len(truth) - empty) for found in seeds])
            pooled = " to ".join(dict.fromkeys(f"{end(f['pooled_dice'] for f in seeds):.3f}" for end in (min, max)))
            rows.append([_label(c), name, pooled, missed, alarms or "none was without"])
    heads = ["Configuration", "Test set", "Pooled Dice", "Missed wholly", "Alarm where there is nothing"]
    return _table(heads, rows)


def differences(comparison: Comparison) -> str:
    """Every configuration against the best one of each test set: difference in Dice, interval, p, verdict."""
    found = statistics.differences(comparison)
    if found.empty:
        return "One configuration was trained: there is nothing to compare."
    rows = []
    for entry in found.itertuples():
        known = entry.low == entry.low and entry.high == entry.high
        between = f"{entry.low:+.3f} to {entry.high:+.3f}" if known else "none: too few groups"
        told = [f"{entry.difference:+.3f}", between, statistics.p_value(entry.p_holm), entry.verdict]
        rows.append([entry.test_set, entry.run, entry.reference, *told])
    return _table(["Test set", "Configuration", "Best there", "Difference", "95 % interval", "p", "Verdict"], rows)


def claim(comparison: Comparison) -> str:
    """The computed answer, as the report gives it."""
    return "\n\n".join(repr(answer.claim(comparison)).splitlines())


def trainings(comparison: Comparison) -> str:
    """What was trained: size, epochs, time, and what a picture costs, run by run."""
    rows = []
    for c in comparison.configurations:
        for run, record in zip(c.runs, c.records, strict=True):
            chosen, macs = record.get("selection", {}), (record.get("cost") or {}).get("macs")
            rows.append(
                [
                    _label(c),
                    str(record.get("seed")),
                    f"{record['model']['parameters_total'] / 1e6:.1f}",
                    f"{chosen['best_epoch']} of {chosen['epochs_trained']}",
                    f"{_validation_dice(run, chosen['best_epoch']):.3f}",
                    duration(record["durations"]["train_seconds"]),
                    "" if macs is None else f"{macs / 1e9:.2f}",
                    f"`{run.id[-8:]}`",
                ]
            )
    heads = [
        "Configuration",
        "Seed",
        "Parameters, M",
        "Best epoch",
        "Validation Dice",
        "Training",
        "GMACs",
        "Run",
    ]
    return _table(heads, rows)


def _validation_dice(run: Run, epoch: int) -> float:
    """Of the epoch that was kept, by whatever it was chosen."""
    history = run.history()
    return float(history[(history["split"] == "validation") & (history["epoch"] == epoch)]["dice"].iloc[0])


def provenance(comparison: Comparison) -> str:
    """Data, settings that all runs share, machine, versions and commits, as a list."""
    data, records = comparison.dataset, comparison.records
    sets = joined(f"{name} {number}" for name, number in data["counts"]["test_sets"].items())
    split = (
        f"{data['counts']['train']} to train, {data['counts']['validation']} to choose checkpoints, tested on {sets}"
    )
    versions = records[0].get("versions", {})
    packages = ("python", "torch", "segmentation-models-pytorch", "tensorflow", "numpy")
    named = joined(f"{name} {versions[name]}" for name in packages if versions.get(name))
    days = sorted(str(record.get("finished", ""))[:10] for record in records)
    seconds = sum(record.get("durations", {}).get("train_seconds") or 0 for record in records)
    lines = [
        f"data: protocol {data['protocol']}, {split}; fingerprint `{data['fingerprint'][:16]}`",
        f"runs: {len(records)}, of seeds {joined(dict.fromkeys(str(record.get('seed')) for record in records))}; "
        f"{duration(seconds)} of training together",
        f"machine: {joined(dict.fromkeys(_machine(record) for record in records))}",
        f"finished: {joined(dict.fromkeys(days))}; commits {joined(dict.fromkeys(map(_commit, records)))}",
        f"versions: {named}",
        "the same for all: " + ", ".join(f"{key.replace('_', ' ')} {readable(value)}" for key, value in
                                         comparison.constant.items() if key not in ("data", "stage")),
    ]  # fmt: skip
    return "\n".join(f"- {line}" for line in lines)


def not_run(comparison: Comparison, sweep: str) -> str:
    """The rows of a sweep file that no compared run answers, in words."""
    left = []
    for row, parameters in read_rows(project.resolve(sweep)):
        asked = [record["parameters"] for record in comparison.records]
        if not any(all(known.get(key) == value for key, value in parameters.items()) for known in asked):
            left.append(", ".join(f"{key} {readable(value)}" for key, value in row.items()))
    if not left:
        return f"All rows of `{sweep}` were run."
    return f"Rows of `{sweep}` that were not run: {'; '.join(left)}."


#: What a place can be filled with; ``not-run`` takes the path of a sweep file after its name.
TABLES: dict[str, Callable[..., str]] = {
    "scores": scores,
    "counts": counts,
    "differences": differences,
    "answer": claim,
    "trainings": trainings,
    "provenance": provenance,
    "not-run": not_run,
}


def _words(comparison: Comparison) -> tuple[str, str]:
    study = registry.find(comparison.records[0]["study"])
    return study.items, study.groups


def _label(configuration: Configuration) -> str:
    several = f", {len(configuration.seeds)} seeds" if len(configuration.seeds) > 1 else ""
    return f"{configuration.label}{several}"


def _machine(record: dict[str, Any]) -> str:
    device = record.get("device") or {}
    return f"{device.get('name', 'unknown')} ({device.get('precision', '')})"


def _commit(record: dict[str, Any]) -> str:
    git = record.get("git") or {}
    return f"`{str(git.get('commit') or 'unknown')[:7]}`" + (" with changes" if git.get("dirty") else "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
