"""The model card of an exported run, after Mitchell et al. 2019 (arXiv 1810.03993), with its gaps named as gaps."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medseg import atomic
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.export.parity import Parity
from medseg.metrics.cluster_bootstrap import estimate
from medseg.names import listed

NAME = "card.md"
_CLASSES = 5  # up to which each has its own mean
_NETWORK = ("architecture", "size", "variant", "backbone")  # parameters that name it
GAP = "*Not recorded. To be filled by whoever passes the model on.*"


def write(folder: Path, content: str) -> str:
    """Write ``card.md``; one with other words may have been filled in by hand, so it is kept under a number.

    Returns:
        The name under which it is kept; empty where there was none.
    """
    file, kept = folder / NAME, ""
    if file.is_file() and file.read_text("utf-8", errors="replace") != content:
        number = next(n for n in range(1, 10_000) if not (folder / f"card-{n}.md").exists())
        kept = file.replace(folder / f"card-{number}.md").name
    atomic.write_text(file, content)
    return kept


def text(run: Run, file: str, facts: dict[str, Any], parity: Parity) -> str:
    """Markdown, from ``run.json`` and ``cases.csv``; what neither tells is a gap."""
    record, parameters = run.record, run.record["parameters"]
    parts = [str(parameters[name]) for name in _NETWORK if parameters.get(name) not in (None, "", "none")]
    begun_with = record.get("model", {}).get("weights", parameters.get("weights", GAP))
    started = str(record["started"])[:10] if "started" in record else "at a time not recorded"
    thresholds = ", ".join(dict.fromkeys(f"{threshold:.2f}" for threshold in facts["thresholds"]))
    told = {**facts["rules"], "crf": "used" if facts["rules"]["crf"] else "not used"}
    rules = f"thresholds {told['thresholds']}, post-processing {told['postprocess']}, CRF {told['crf']}"
    sections = {
        "Model details": [
            f"- File: `{file}`, made from the run `{run.id}`, trained {started}",
            f"- Network: {', '.join(parts)}; pictures seen at {facts['resolution']} x {facts['resolution']} pixels"
            f"{_size(record)}",
            f"- Weights that training began with: {begun_with}",
            f"- Training: {_training(record)}",
            f"- Licence: {facts['licence']}",
            f"- Who made it, and whom to ask: {GAP}",
        ],
        "Intended use": [
            f"- Outlines of {', '.join(facts['classes'])} in pictures like those of the study {facts['study']}. For "
            "research; it is no medical device.",
            f"- Uses out of scope: {GAP}",
        ],
        "Factors": [f"- Patients, devices, centres and what else results may depend on: {GAP}"],
        "Metrics": [
            "- Dice a case at the picture's own size; a pixel is set where its probability is above "
            f"{thresholds}; {rules}",
        ],
        "Training and evaluation data": [
            *_data(record["dataset"]),
            "- Parameters of the training are in the file's metadata",
            f"- How pictures were chosen and labelled, and whom they show: {GAP}",
        ],
        "Quantitative analyses": _figures(run),
        "Export": [f"- Against the framework on {parity.cases} {parity.what}: {parity.told()}"],
        "Ethical considerations": [f"- {GAP}"],
        "Caveats and recommendations": [
            "- Figures above are of the named test cases and promise nothing for other pictures.",
            f"- Known failures: {GAP}",
        ],
    }  # fmt: skip
    chapters = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return f"# Model card: {run.id}\n\n" + "\n\n".join(chapters) + "\n"


def _size(record: dict[str, Any]) -> str:
    """Parameters, and what a picture costs where that was measured."""
    model, cost = (record.get(key) or {} for key in ("model", "cost"))
    millions = f"; {model['parameters_total'] / 1e6:.2f} million parameters" if "parameters_total" in model else ""
    return millions + (f", {cost['macs'] / 1e9:.2f} GMACs a picture" if cost.get("macs") else "")


def _training(record: dict[str, Any]) -> str:
    """How long, on what, which epoch was kept and why, with which code."""
    selection, device, versions = (record.get(key) or {} for key in ("selection", "device", "versions"))
    told = []
    if {"best_epoch", "epochs_trained", "rule"} <= set(selection):
        told.append(
            f"epoch {selection['best_epoch']} of {selection['epochs_trained']} kept, by the {selection['rule']}"
        )
    if record.get("seed") is not None:
        told.append(f"seed {record['seed']}")
    if {"precision", "name"} <= set(device):
        told.append(f"{device['precision']} on {device['name']}")
    if versions.get("medseg"):
        commit = (record.get("git") or {}).get("commit")
        told.append(f"medseg {versions['medseg']}" + (f", commit {commit[:8]}" if commit else ""))
    return "; ".join(told) or GAP


def _data(dataset: dict[str, Any]) -> list[str]:
    """Which data, how many pictures of how many groups, and what is known to leak from one split to another."""
    counts, leakage = dataset.get("counts") or {}, dataset.get("leakage") or {}
    protocol = f"protocol {dataset['protocol']}" if dataset.get("protocol") else ""
    named = filter(None, (dataset.get("name"), protocol, f"fingerprint `{dataset['fingerprint']}`"))
    lines = [f"- Prepared data: {', '.join(named)}"]
    if parts := [f"{counts[part]} {part}" for part in ("train", "validation", "test") if counts.get(part)]:
        groups = f", of {counts['groups']} patients or videos in all" if counts.get("groups") else ""
        lines.append(f"- Pictures as prepared: {', '.join(parts)}{groups}")
    if guessed := leakage.get("groups_guessed"):
        lines.append(f"- Which pictures belong to one video or patient was guessed for {listed(guessed)}")
    if doubles := leakage.get("near_duplicates"):
        pairs = listed(f"{count} pairs ({splits})" for splits, count in doubles.items())
        lines.append(f"- Pictures nearly alike lie in different splits: {pairs}")
    return lines


def _figures(run: Run) -> list[str]:
    try:
        cases = run.cases() if run.evaluated else pd.DataFrame()
    except MedsegError:
        cases = pd.DataFrame()
    if cases.empty:
        return ["- The run was not scored."]
    lines = []
    for test_set, rows in cases.groupby("test_set"):
        lines.append(f"- {test_set}: mean Dice {_mean(rows)} over {rows['case_id'].nunique()} cases")
        if "class" in rows and 1 < rows["class"].nunique() <= _CLASSES:
            lines += [f"  - {name}: {_mean(own)}" for name, own in rows.groupby("class", sort=False)]
    return lines


def _mean(rows: pd.DataFrame) -> str:
    """The mean Dice with its 95 % interval over whole groups, where there are enough of them."""
    scored = rows.dropna(subset=["dice"])
    if scored.empty:
        return "not known"
    found = estimate(scored["dice"].to_numpy(), scored["group"].to_numpy())
    known = np.isfinite([found.low, found.high]).all()
    low, high = np.clip([found.low, found.high], 0, 1)
    doubted = ", in doubt" if found.doubt else ""
    return f"{found.mean:.3f}" + (f" (95 % interval {low:.3f} to {high:.3f}{doubted})" if known else "")
