"""What stands below every table: where its numbers come from, computed from the records of the runs."""

from pathlib import Path

from medseg.metrics.overlap import summarise
from medseg.reporting.comparison import Comparison, readable


def notes(comparison: Comparison) -> list[str]:
    """What every table has to say: data, protocol, cases, scoring, threshold, seeds, code; from the records."""
    dataset, records = comparison.dataset, comparison.records
    evaluations = [record.get("evaluation", {}) for record in records]
    first = comparison.configurations[0].cases[0]
    classes = first["class"].nunique()
    counts = "; ".join(
        f"{row.test_set} n = {row.n_cases // classes}"
        + (f" with {classes} classes each" if classes > 1 else "")
        + (f", {row.n_scored} scored" if row.n_scored < row.n_cases else "")
        for row in summarise(first).itertuples()
    )
    if any(summarise(first)["n_scored"] < summarise(first)["n_cases"]):
        counts += " (a case with nothing to find and nothing found has no Dice and is left out of the mean)"
    commits = {str((record.get("git") or {}).get("commit") or "unknown")[:7] for record in records}
    changed = any((record.get("git") or {}).get("dirty") for record in records)
    return [
        f"Data: {dataset.get('name')}, {_protocol(dataset)}"
        f"fingerprint {str(dataset.get('fingerprint'))[:8]}. Test sets: {counts}.",
        f"Scoring: {distinct(evaluations, 'scoring')}. Threshold: {distinct(evaluations, 'threshold')} "
        f"({distinct(evaluations, 'rule')}). Checkpoint: {distinct(evaluations, 'checkpoint')}, chosen by "
        f"{distinct([record.get('selection', {}) for record in records], 'rule')}.",
        f"Seeds: {_seeds(comparison)}. Code: {', '.join(sorted(commits))}{' with local changes' if changed else ''}.",
    ]


def is_sample(comparison: Comparison) -> bool:
    """Whether the compared data is the built-in sample."""
    return Path(str(comparison.dataset.get("path"))).parts[:2] == ("data", "sample")


def distinct(records: list[dict], key: str) -> str:
    """The different values of ``key`` in ``records``, readable."""
    values = dict.fromkeys(readable(record[key]) for record in records if record.get(key) is not None)
    return " / ".join(values) or "not recorded"


def _protocol(dataset: dict) -> str:
    return f"protocol {dataset['protocol']}, " if dataset.get("protocol") else ""


def _seeds(comparison: Comparison) -> str:
    sets = {c.label: ", ".join(map(str, c.seeds)) for c in comparison.configurations}
    if len(set(sets.values())) == 1:
        return f"{next(iter(sets.values()))} for every configuration"
    return "; ".join(f"{label}: {seeds}" for label, seeds in sets.items())
