"""Score a run's checkpoint on any prepared dataset of the same classes, beside the run's own evaluation."""

from pathlib import Path
from typing import Any

import pandas as pd

from medseg import atomic, project
from medseg.datasets.index import PreparedDataset
from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.averaging import thresholds_of
from medseg.evaluation.common import case_table, check_finished, load_predictor
from medseg.evaluation.evaluator import scored_cases
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.experiments import provenance
from medseg.experiments.identity import fold_of
from medseg.experiments.runs import Run
from medseg.names import listed

FOLDER = "elsewhere"  # in the run's


def score(
    run: Run,
    dataset: PreparedDataset,
    *,
    checkpoint: str = "",
    every_split: bool = False,
    tolerance: float = 2.0,
    device: str = "auto",
) -> tuple[Path, pd.DataFrame]:
    """Score the test cases of ``dataset``, by the run's own rules from probabilities to masks.

    Nothing of the run's own evaluation changes: ``cases.csv`` and ``evaluation.json`` are written into a folder of
    their own, ``elsewhere/DATA-CHECKPOINT`` in the run's, and its path and the table are returned. Fitted thresholds
    are those of the run's evaluation.

    Args:
        checkpoint: as the framework's ``load_predictor`` takes it; empty: the best.
        every_split: all pictures of another dataset, not its test split alone.
        tolerance: of the surface Dice, pixels of the picture.

    Raises:
        MedsegError: an unfinished run, another study or other classes, all splits of the data that it was trained on,
            no test case, a checkpoint that cannot be had, or fitted thresholds before an evaluation.
    """
    record = run.record
    check_finished(run, "is evaluated")
    own = dataset.fingerprint == record["dataset"]["fingerprint"]
    _check(run, dataset, own and every_split)
    dataset = hold_out(dataset, -1 if fold_of(record) is None else fold_of(record) or 0) if own else dataset
    cases = dataset.index if every_split else dataset.split("test")
    if cases.empty:
        raise MedsegError(f"{project.display(dataset.folder)} has no test cases. Score all of its pictures instead.")
    kind = kinds.of_study(record["study"], dataset.info["classes"])
    options: dict[str, Any] = {"checkpoint": checkpoint} if checkpoint else {}
    predict = load_predictor(run, device, **options)
    segment = Segmenter(run, predict, kind, MaskRules.of(record["parameters"]), thresholds_of(run, kind))
    named = cases.assign(test_set=cases["test_set"].where(cases["test_set"] != "", dataset.info["name"]))
    table = case_table(row for one in scored_cases(segment, dataset, named, tolerance=tolerance) for row in one.rows)
    name = f"{dataset.info['name']}-{dataset.fingerprint[:8]}-{Path(checkpoint or 'best').stem}"
    folder = run.folder / FOLDER / name
    atomic.write_text(folder / "cases.csv", table.to_csv(index=False, lineterminator="\n"))
    described = {
        "run": run.id,
        "checkpoint": checkpoint or "best",
        "dataset": {
            "path": project.display(dataset.folder),
            "name": dataset.info["name"],
            "fingerprint": dataset.fingerprint,
        },
        "trained_on": record["dataset"]["fingerprint"],
        "cases": "every split" if every_split else "test split",
        "surface_tolerance_px": tolerance,
        "git": provenance.git_state(),
        **segment.described(),
    }
    atomic.write_json(folder / "evaluation.json", described)
    return folder, table


def _check(run: Run, dataset: PreparedDataset, all_of_own: bool) -> None:
    record = run.record
    where = project.display(dataset.folder)
    if dataset.info["study"] != record["study"]:
        raise MedsegError(f"{where} is of the study {dataset.info['study']}, the run {run.id} of {record['study']}.")
    trained, there = record["dataset"]["classes"], dataset.info["classes"]
    if list(trained) != list(there):
        raise MedsegError(
            f"{where} has the classes {listed(there)}, the run {run.id} was trained on {listed(trained)}. Prepare it "
            "with the same classes in the same order."
        )
    if all_of_own:
        raise MedsegError(f"The run {run.id} was trained on {where}: only its test split is unseen.")
