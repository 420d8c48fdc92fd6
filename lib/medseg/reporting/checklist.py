"""What a paper on such runs has to say, filled from their records; what these do not know is named as a gap.

The points are those of CLAIM, the checklist for artificial intelligence in medical imaging (Mongan, Moy and Kahn 2020,
Radiol. Artif. Intell. 2:e200029; update: Tejani et al. 2024, Radiol. Artif. Intell. 6:e240300), in our own words, and
of its points those alone that a record can answer or that have to be asked of whoever writes.
"""

from collections.abc import Iterable
from typing import Any

from medseg.evaluation.detail import CALIBRATION
from medseg.names import joined
from medseg.reporting import audit, evaluation_tables, measure_table
from medseg.reporting.comparison import Comparison, readable
from medseg.reporting.fragments import Cell, Fragment, Row, Table, words
from medseg.reporting.results import duration

GAP = "gap"


def table(comparison: Comparison) -> Fragment:
    """One row per point: what has to be said, what the records say, or that it is a gap."""
    points = list(_points(comparison))
    gaps = sum(not said for _, _, said in points)
    rows = [
        Row([Cell(part), Cell(asked), Cell(said or f"{GAP}: the records do not say; write it yourself")], not said)
        for part, asked, said in points
    ]
    notes = [
        f"{len(points) - gaps} of {len(points)} points are answered by the records, {gaps} are gaps. After CLAIM "
        "(Mongan et al. 2020, Radiol. Artif. Intell. 2:e200029; update 2024, 6:e240300), in our own words and "
        "shortened: the checklist itself is what a journal asks for."
    ]
    columns = words("Part", "To be said", "From the records")
    return Table("Checklist for a paper", columns, rows, notes, sortable=False).fragment()


def _points(comparison: Comparison) -> Iterable[tuple[str, str, str]]:
    dataset, records = comparison.dataset, comparison.records
    counts = dataset.get("counts") or {}
    yield "Study", "Aim and hypothesis; retrospective or prospective", ""
    name = f"{dataset.get('name')}, fingerprint {str(dataset.get('fingerprint'))[:8]}"
    yield "Data", "Sources and version of the data", f"{name}, protocol {dataset.get('protocol') or 'none'}"
    yield "Data", "Who was included, when and where; consent and ethics; age, sex and disease", ""
    yield "Data", "Devices and settings of acquisition", ""
    yield "Data", "Preparation of pictures and labels; what was left out", _preparation(comparison)
    yield "Truth", "Who outlined what, how, and how well observers agree", ""
    split = ", ".join(f"{counts[key]} {key}" for key in ("train", "validation", "test") if key in counts)
    folds = f"; {len(comparison.folds)} folds" if comparison.folds else ""
    groups = ""
    if "groups" in counts:
        groups = f"; {counts['groups']} groups (a patient, a video, or one picture where no more is known), "
        groups += "none in two splits"
        unsure = audit.guessed(comparison)
        groups += f" (of {joined(unsure)} a guess)" if unsure else ""
    yield "Splits", "How data was divided, and at which level", f"{split}{groups}{folds}" if split else ""
    yield "Splits", "Leakage between them", _leakage(records)
    yield "Splits", "Why there are this many cases (power)", ""
    yield "Model", "Networks, with their inputs and outputs", ", ".join(dict.fromkeys(map(_network, records)))
    yield "Model", "Weights at the start", _distinct(records, "model", "weights")
    software = {key: (records[0].get("versions") or {}).get(key) for key in ("python", "torch", "tensorflow")}
    yield "Model", "Software and versions", ", ".join(f"{key} {value}" for key, value in software.items() if value)
    yield "Training", "Augmentation, settings, loss", _settings(comparison)
    rule = measure_table.whose(comparison, "selection", "rule")
    yield "Training", "How the final weights were chosen", "" if rule == "not recorded" else rule
    seconds = sum((record.get("durations") or {}).get("train_seconds") or 0 for record in records)
    time = f"{duration(seconds)} of training together" if seconds else ""
    yield "Training", "Hardware and time", "; ".join(filter(None, (_distinct(records, "device", "name"), time)))
    seeds = sorted({str(record.get("seed")) for record in records if record.get("seed") is not None})
    yield "Training", "Repeats with other seeds", f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}" if seeds else ""
    scoring, rule = _distinct(records, "evaluation", "scoring"), _distinct(records, "evaluation", "rule")
    yield "Evaluation", "Measures, threshold and resolution", "; ".join(filter(None, (scoring, rule)))
    yield (
        "Evaluation",
        "Uncertainty and tests",
        "95 % intervals over groups where there are six or more, p corrected by Holm, margin of equivalence: see the "
        "tables",
    )
    yield "Evaluation", "Results by kind of case", "see the table by kind of case, as far as facts are known"
    calibrated = evaluation_tables.having(comparison, CALIBRATION)
    yield "Evaluation", "Calibration of probabilities", "see the section on calibration" if calibrated else ""
    external = ", ".join(comparison.test_sets)
    yield (
        "Evaluation",
        "Data of other places than that of the training",
        f"test sets: {external}; say which are external",
    )
    yield "Evaluation", "Comparison with readers, or with care as it is", ""
    yield "Discussion", "Failures", "see worst cases, and those that all configurations fail at"
    yield "Discussion", "Bias, how far results carry, meaning for patients", ""
    yield "Other", "Registration, protocol, funding, conflicts", ""
    gits = {str((record.get("git") or {}).get("commit") or "")[:7] for record in records} - {""}
    yield "Other", "Code, and where weights and data can be had", f"code: {', '.join(sorted(gits))}" if gits else ""


def _distinct(records: Iterable[dict[str, Any]], part: str, key: str) -> str:
    found = measure_table.distinct(records, part, key)
    return "" if found == "not recorded" else found


def _network(record: dict[str, Any]) -> str:
    """Architecture, variant and encoder of a run; its name where it was brought."""
    asked = record.get("parameters") or {}
    parts = [str(asked[key]) for key in ("architecture", "size", "variant", "backbone") if asked.get(key)]
    return " ".join(part for part in parts if part != "none") or str((record.get("model") or {}).get("name") or "")


def _preparation(comparison: Comparison) -> str:
    counts = comparison.dataset.get("counts") or {}
    return f"{counts['samples']} pictures; see its preparation report for what was rejected" if counts else ""


def _settings(comparison: Comparison) -> str:
    wanted = (
        "loss",
        "cross_entropy_weight",
        "dice_weight",
        "optimizer",
        "learning_rate",
        "batch_size",
        "max_epochs",
        "augmentation",
    )
    known = [(key, comparison.constant[key]) for key in wanted if key in comparison.constant]
    return ", ".join(f"{key.replace('_', ' ')} {readable(value)}" for key, value in known)


def _leakage(records: Iterable[dict[str, Any]]) -> str:
    kept = [(record.get("dataset") or {}).get("leakage") for record in records]
    known = [entry for entry in kept if entry is not None]
    if not known:
        return ""
    pairs = known[0].get("near_duplicates") or {}
    said = ", ".join(f"{count} over {splits}" for splits, count in pairs.items()) or "none"
    return f"audited: pairs of near duplicates: {said}"
