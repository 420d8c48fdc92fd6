"""What the record says of a training: halved batches, the chosen epoch, and advice where memory ran out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medseg.errors import MedsegError
from medseg.experiments import job, outcome
from medseg.experiments.runs import Run

MEMORY = {"host": 1.0, "device": None}
DEVICE = SimpleNamespace(kind="cuda", name="GPU", precision="bf16", count=1, peak_memory_mb=lambda: MEMORY)
MODEL = SimpleNamespace(weights="random", parameters_total=10, parameters_trainable=8)
PARAMETERS = {"architecture": "unet", "batch_size": 6, "accumulate": 2, "max_epochs": 9, "resolution": 512}


def history(values, metric="dice"):
    rows = []
    for epoch, value in enumerate(values, 1):
        rows.append({"epoch": epoch, "split": "train", metric: 0.99, "seconds": 2.0})
        if value is not None:
            rows.append({"epoch": epoch, "split": "validation", metric: value, "seconds": 2.0})
    return pd.DataFrame(rows)


def finished(folder, table, **changes):
    run = Run(folder)
    wanted = {"metric": "dice", "rule": "highest", **changes}
    outcome.finish(run, PARAMETERS, table, device=DEVICE, model=MODEL, **wanted)
    return run.record


def test_the_record_names_the_best_validated_epoch_and_the_time(tmp_path):
    record = finished(tmp_path, history([None, 0.5, None, 0.7, None, 0.7]), kept=["epoch-0004.ckpt"])
    assert record["status"] == "finished"
    assert record["selection"] == {
        "rule": "highest", "metric": "validation dice", "mode": "max", "best_epoch": 4, "best_value": 0.7,
        "epochs_trained": 6, "ended_by": "early stopping", "stopped_early": True, "kept": ["epoch-0004.ckpt"],
    }  # fmt: skip
    assert record["durations"] == {"train_seconds": 12.0}, "an epoch without validation counts like any other"
    assert record["device"] == {"kind": "cuda", "name": "GPU", "precision": "bf16"}
    assert record["model"]["parameters_trainable"] == 8
    assert record["batch"] == {"batch_size": 6, "accumulate": 2, "halved": False}


def test_the_record_says_what_was_used_and_what_ended_it(tmp_path):
    state = {"steps": 36, "ended_by": "max_minutes"}
    selection = finished(tmp_path, history([0.5] * 6), state=state)["selection"]
    assert (selection["steps_trained"], selection["ended_by"], selection["stopped_early"]) == (36, "max_minutes", False)
    older = finished(tmp_path, history([0.5] * 9))["selection"]
    assert "steps_trained" not in older
    assert (older["ended_by"], older["stopped_early"]) == ("max_epochs", False)


def test_another_measure_may_choose(tmp_path):
    record = finished(tmp_path, history([0.5, np.nan, 0.4], "iou"), metric="iou")
    assert (record["selection"]["metric"], record["selection"]["best_epoch"]) == ("validation iou", 1)


def test_a_history_without_any_validation_value_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="no epoch is better than another"):
        finished(tmp_path, history([np.nan, np.nan]))
    assert Run(tmp_path).record == {}


@pytest.mark.parametrize(
    ("batch_size", "halvings", "expected"),
    [(6, 0, (6, 2)), (6, 1, (3, 4)), (5, 1, (3, 4)), (1, 1, (1, 2)), (2, 2, (1, 4))],
)
def test_a_halved_batch_is_accumulated_twice_as_often(monkeypatch, batch_size, halvings, expected):
    monkeypatch.setenv(job.HALVINGS_VARIABLE, str(halvings))
    assert outcome.batches({**PARAMETERS, "batch_size": batch_size}) == expected


def test_advice_where_memory_ran_out_follows_the_batch_that_was_tried(monkeypatch):
    monkeypatch.setenv(job.HALVINGS_VARIABLE, "1")
    words = str(outcome.out_of_memory(DEVICE, PARAMETERS))
    assert "Out of memory on GPU with batch_size=3 at resolution 512" in words
    assert "batch_size=1 and accumulate=12, which trains the same but for batch normalisation" in words
    assert job.OUT_OF_MEMORY in words.lower()
    alone = str(outcome.out_of_memory(DEVICE, {**PARAMETERS, "batch_size": 1}))
    assert "Try a lower resolution or a smaller network" in alone
