"""Take over a finished training that differs only in what is done with the trained network, or in its length.

Sliding windows, thresholds and the like are parameters of a run, so that their effect is compared as any other; but
training the same network again for each of them would take the same hours and give the same weights. Every file that
a training leaves is taken over, whichever framework wrote it.

A training of fewer epochs is the beginning of the same one of more where nothing in it looks at its end: neither the
schedule of the learning rate nor the validations, and no epoch was the last for another reason. It is then gone on
from.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medseg import atomic
from medseg.experiments import checkpoints
from medseg.experiments.identity import NOT_PART_OF_THE_QUESTION, as_before
from medseg.experiments.runs import Run, usable_runs

#: Parameters that no training depends on.
INFERENCE_ONLY = frozenset({"window", "stride", "tta", "thresholds", "postprocess", "crf"})
#: Schedules of the learning rate that end with the last epoch.
_LOOK_AT_THE_END = ("onecycle", "polynomial")
#: Folders and entries of the record that a training leaves.
_FOLDERS = ("checkpoints", "validation")
_RESULTS = ("device", "model", "batch", "selection", "durations", "peak_memory_mb")


def find_finished_training(run: Run, parameters: Mapping[str, Any]) -> Run | None:
    """A finished run whose training asked the same as ``run``, which is being computed; None where there is none."""
    record = run.record
    for other in usable_runs(record["study"]):
        found = other.record
        if (
            other.id != run.id
            and found.get("status") == "finished"
            and found.get("stage") == record["stage"]
            and found.get("dataset", {}).get("fingerprint") == record["dataset"]["fingerprint"]
            and _training(found.get("parameters", {})) == _training(parameters)
            and any(other.checkpoints.glob("best*"))
            and not checkpoints.fault_in(other.checkpoints)
        ):
            return other
    return None


def take_over(run: Run, finished: Run) -> pd.DataFrame:
    """Give ``run`` the checkpoints, the history and the record of a finished training; returns the history.

    The record says of which run they are (``training_of``). Files are linked where the disk can do that.
    """
    _link_files(finished, run)
    history, record = finished.history(), finished.record
    run.write_table("history.csv", history)
    results = {key: record[key] for key in _RESULTS if key in record}
    results["durations"] = {k: v for k, v in record.get("durations", {}).items() if k != "evaluate_seconds"}
    run.finish(training_of=record.get("training_of", finished.id), **results)
    return history


def begin_with_shorter(run: Run, parameters: Mapping[str, Any]) -> bool:
    """Give a ``run`` that has not begun the checkpoints of the longest finished one that is its beginning, if any is.

    Only one whose last checkpoint was kept; where there are but others, that is said. The record says which
    (``continues``); training then goes on from there, and the history is that of all epochs.
    """
    if parameters.get("schedule") in _LOOK_AT_THE_END or parameters.get("validation_interval", 1) > 1:
        return False
    asked, record = _training(parameters), run.record
    found = [
        other
        for other in usable_runs(record["study"])
        if other.id != run.id
        and _is_beginning(other.record, record, asked)
        and not checkpoints.fault_in(other.checkpoints)
    ]
    kept = [other for other in found if any(other.checkpoints.glob("last*"))]
    if found and not kept:
        print(
            f"The run {found[0].id} is the beginning of this training, but its last checkpoint was not kept: all "
            "epochs are trained. With keep_last=true a finished run can be gone on from."
        )
    if not kept:
        return False
    longest = max(kept, key=lambda other: other.record["parameters"]["max_epochs"])
    _link_files(longest, run)
    run.update(continues=longest.id)
    return True


def _is_beginning(found: Mapping[str, Any], record: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    parameters = found.get("parameters", {})
    return (
        found.get("status") == "finished"
        and found.get("stage") == record["stage"]
        and found.get("dataset", {}).get("fingerprint") == record["dataset"]["fingerprint"]
        and parameters.get("max_epochs", asked["max_epochs"]) < asked["max_epochs"]
        and found.get("selection", {}).get("ended_by") == "max_epochs"
        and {**_training(parameters), "max_epochs": asked["max_epochs"]} == asked
    )


def _link_files(finished: Run, run: Run) -> None:
    for folder in _FOLDERS:
        for source in sorted(path for path in (finished.folder / folder).rglob("*") if path.is_file()):
            atomic.link(source, run.folder / source.relative_to(finished.folder))


def _training(parameters: Mapping[str, Any]) -> dict[str, Any]:
    left_out = INFERENCE_ONLY | NOT_PART_OF_THE_QUESTION
    return {key: value for key, value in {**as_before(parameters), **parameters}.items() if key not in left_out}
