"""Small tables of facts that the working notebooks show: parameters, splits, rejections, training, scores."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medseg import project, registry
from medseg.datasets.index import PreparedDataset
from medseg.experiments.identity import fold_of, readable_weights
from medseg.experiments.params import read_schema
from medseg.experiments.runs import Run
from medseg.reporting import view
from medseg.reporting.comparison import MOST, Comparison, readable
from medseg.reporting.fragments import Cell, Fragment, Row, Table, numeric, words

_REJECTED_SHOWN = 30


def parameters(notebook: str, values: Mapping[str, Any]) -> Fragment:
    """Every parameter with its value and meaning; those that differ from the notebook's default stand out.

    Args:
        notebook: such as ``polyp/2_train_torch``.
        values: as :func:`medseg.experiments.params.of_notebook` gives them.
    """
    schema = read_schema(project.root() / "notebooks" / f"{notebook}.ipynb")
    files = readable_weights({"parameters": values})
    rows = []
    for name, value in values.items():
        default, meaning = schema.defaults[name], schema.meanings.get(name, "")
        shown = Cell(files.get(name, _readable(value)), mark="best" if value != default else "")
        rows.append([Cell(name), shown, Cell(_readable(default)), Cell(meaning)])
    return Table("Parameters", words("parameter", "value", "default", "meaning"), rows, sortable=False).fragment()


def splits(dataset: PreparedDataset) -> Fragment:
    """Pictures, groups and picture sizes of every split and test set, in the study's words."""
    study, rows = registry.find(dataset.info["study"]), []
    for (split, test_set), part in dataset.index.groupby(["split", "test_set"], sort=False):
        sizes = sorted(set(zip(part["width_px"], part["height_px"], strict=True)), key=lambda size: size[0] * size[1])
        size = " to ".join(f"{width} x {height}" for width, height in dict.fromkeys([sizes[0], sizes[-1]]))
        size += f", {len(sizes)} sizes" if len(sizes) > 2 else ""
        name = f"{split}: {test_set}" if test_set else split
        rows.append([Cell(name), _count(len(part)), _count(part["group"].nunique()), Cell(size)])
    columns = words("split") + numeric(study.items, study.groups) + words("pixels")
    info = dataset.info
    protocol = f"Protocol {info['protocol']}, f" if info.get("protocol") else "F"
    notes = [
        f"{protocol}ingerprint {dataset.fingerprint[:8]}; the {study.groups} of any two splits are different ones.",
        *info.get("notes", []),
    ]
    return Table(f"Prepared dataset {info['name']}", columns, rows, notes, sortable=False).fragment()


def rejected(dataset: PreparedDataset) -> Fragment:
    """Files that the preparation left out, with the reason of each."""
    table = pd.read_csv(dataset.folder / "rejected.csv", dtype=str, keep_default_na=False)
    rows = [[Cell(row.file), Cell(row.reason)] for row in table.head(_REJECTED_SHOWN).itertuples()]
    more = len(table) - len(rows)
    notes = [f"and {more} more in rejected.csv"] if more else ([] if len(table) else ["Nothing was rejected."])
    return Table(f"Rejected files ({len(table)})", words("file", "reason"), rows, notes).fragment()


def training(run: Run) -> Fragment:
    """What came out of a finished training."""
    record = run.record
    model, selection, device, batch = (record[key] for key in ("model", "selection", "device", "batch"))
    memory = record["peak_memory_mb"]
    on_device = f", {memory['device'] / 1e3:.1f} GB device" if memory["device"] else ""
    used_up = selection.get("ended_by") in ("max_steps", "max_minutes")
    stopped = ", stopped early" if selection["stopped_early"] else ", budget used up" if used_up else ""
    steps = f" ({selection['steps_trained']} steps)" if "steps_trained" in selection else ""
    facts = [
        ("network", f"{model['name']}, {model['parameters_total'] / 1e6:.2f} million parameters"),
        ("weights at the start", model["weights"]),
        ("device", f"{device['name']}, {device['precision']}"),
        ("batch", f"{batch['batch_size']} x {batch['accumulate']}" + (", halved: memory" if batch["halved"] else "")),
        ("epochs", f"{selection['epochs_trained']}{steps}{stopped}"),
        ("best epoch", f"{selection['best_epoch']}, {selection['metric']} {selection['best_value']:.3f}"),
        ("chosen by", selection["rule"]),
        ("seconds", f"{record['durations']['train_seconds']:.0f}"),
        ("peak memory", f"{memory['host'] / 1e3:.1f} GB host{on_device}"),
    ]
    facts += [("begun anew", record["begun_anew"])] if record.get("begun_anew") else []
    return Table("Training", words("", ""), [[*map(Cell, fact)] for fact in facts], sortable=False).fragment()


def scores(summary: pd.DataFrame) -> Fragment:
    """Mean measures per test set, as :func:`medseg.metrics.overlap.summarise` gives them."""
    rows = [
        [
            Cell(str(row.test_set)),
            *(Cell(f"{value:.3f}", value) for value in (row.mean_dice, row.sd, row.mean_iou, row.pooled_dice)),
            *(_count(value) for value in (row.n_scored, row.n_missed, row.n_false_positive)),
        ]
        for row in summary.itertuples()
    ]
    titles = ("mean Dice", "sd", "mean IoU", "pooled Dice", "cases scored", "missed", "false positive")
    notes = [
        "Mean over cases (and classes, where several) at native resolution; pooled: over all pixels of a set. "
        "Missed: no pixel of a structure found. False positive: a prediction where there is none. What is empty in "
        "truth and prediction is not scored."
    ]
    return Table("Scores", words("test set") + numeric(*titles), rows, notes).fragment()


def compared_runs(comparison: Comparison) -> Fragment:
    """Every run of a comparison: id, what it differs in and the fold, weights at the start, device, commit."""
    rows: list[Row] = []
    for c in comparison.configurations:
        for run, record in zip(c.runs, c.records, strict=True):
            device, git = record.get("device") or {}, record.get("git") or {}
            commit = (git.get("commit") or "unknown")[:7] + (" with changes" if git.get("dirty") else "")
            machine = f"{device['name']}, {device.get('precision')}" if "name" in device else "not known"
            weights = record.get("model", {}).get("weights", "")
            label = f"{c.label}, fold {fold_of(record)}" if c.folds else c.label
            name = Cell(run.id, link=view.link(run))
            rows.append(Row([name, *map(Cell, (label, weights, machine, commit))], folded=len(rows) >= MOST))
    columns = words("run", "configuration", "weights at the start", "device", "code")
    same = "; ".join(f"{name} {readable(value)}" for name, value in comparison.constant.items())
    return Table("Compared runs", columns, rows, [f"The same for all: {same}."] if same else []).fragment()


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _readable(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "(empty)" if value == "" else str(value)
