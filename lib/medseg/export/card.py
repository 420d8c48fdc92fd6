"""The model card of an exported run, after Mitchell et al. 2019 (arXiv 1810.03993), with its gaps named as gaps."""

from typing import Any

import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.export.parity import Parity

_NETWORK = ("architecture", "size", "variant", "backbone")  # parameters that name it
GAP = "*Not recorded. To be filled by whoever passes the model on.*"


def text(run: Run, file: str, facts: dict[str, Any], parity: Parity) -> str:
    """Markdown, from ``run.json`` and ``cases.csv``; what neither tells is a gap."""
    record, parameters = run.record, run.record["parameters"]
    parts = [str(parameters[name]) for name in _NETWORK if name in parameters]
    begun_with = record.get("model", {}).get("weights", parameters.get("weights", GAP))
    started = str(record["started"])[:10] if "started" in record else "at a time not recorded"
    thresholds = ", ".join(f"{threshold:.2f}" for threshold in facts["thresholds"])
    rules = ", ".join(f"{name} {value}" for name, value in facts["rules"].items())
    sections = {
        "Model details": [
            f"- File: `{file}`, made from the run `{run.id}`, trained {started}",
            f"- Network: {', '.join(parts)}; pictures seen at {facts['resolution']} x {facts['resolution']} pixels",
            f"- Weights that training began with: {begun_with}",
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
            f"- Dice a case at the picture's own size; thresholds {thresholds}; {rules}",
        ],
        "Training and evaluation data": [
            f"- Prepared data with fingerprint `{facts['data']}`",
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


def _figures(run: Run) -> list[str]:
    try:
        cases = run.cases() if run.evaluated else pd.DataFrame()
    except MedsegError:
        cases = pd.DataFrame()
    if cases.empty:
        return ["- The run was not scored."]
    return [
        f"- {test_set}: mean Dice {rows['dice'].mean():.3f} over {rows['case_id'].nunique()} cases"
        for test_set, rows in cases.groupby("test_set")
    ]
