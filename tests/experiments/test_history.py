"""The figures of epochs: their order, what is best, what is written and shown, and that they survive a kill."""

import json
import math

import pandas as pd
import pytest

from medseg.errors import MedsegError
from medseg.experiments import job, progress
from medseg.experiments.budget import Budget
from medseg.experiments.history import History, ranked
from medseg.experiments.runs import Run


def filled(folder, dices, **options):
    history = History(Run(folder), **{"max_epochs": 9, "shown": "dice", **options})
    for epoch, dice in enumerate(dices, 1):
        history.add(epoch, "train", {"loss": 1 / epoch, "dice": 0.9}, 0.01, 1.23456)
        if dice is not None:
            history.add(epoch, "validation", {"loss": 2 / epoch, "dice": dice}, 0.01, 1.23456)
    return history


def test_rows_are_written_and_shown(tmp_path):
    history = filled(tmp_path, [0.5, 0.75])
    history.write()
    table = Run(tmp_path).history()
    assert list(table.columns) == ["epoch", "split", "loss", "dice", "learning_rate", "seconds"]
    assert list(zip(table["epoch"], table["split"], strict=True)) == [
        (1, "train"), (1, "validation"), (2, "train"), (2, "validation"),
    ]  # fmt: skip
    assert set(table["seconds"]) == {1.235}
    pd.testing.assert_frame_equal(table, pd.DataFrame(history.rows))
    text = "epoch 2/9 | loss 0.500 train, 1.000 validation | Dice 0.900 train, 0.750 validation (best 0.750 in epoch 2)"
    assert history.line() == f"{text} | 1.2 s"
    assert progress.read(tmp_path) == {"done": 2, "total": 9, "text": history.line()}


def test_the_beginning_is_shown_before_any_epoch_and_after_a_kill(tmp_path):
    History(Run(tmp_path), 9, "iou").begin()
    assert progress.read(tmp_path) == {"done": 0, "total": 9, "text": "epoch 1/9 ..."}
    filled(tmp_path, [0.5, 0.75]).begin()
    assert progress.read(tmp_path) == {"done": 2, "total": 9, "text": "epoch 3/9 ..."}


def test_an_epoch_without_validation_shows_the_best_of_those_before(tmp_path):
    assert filled(tmp_path, [None]).line() == "epoch 1/9 | loss 1.000 train | Dice 0.900 train | 1.2 s"
    assert filled(tmp_path, [0.5, None]).line().endswith("| Dice 0.900 train (best 0.500 in epoch 1) | 1.2 s")
    assert filled(tmp_path, [None]).best("dice") is None


def test_best_is_the_earlier_of_two_and_never_what_was_not_scored(tmp_path):
    history = filled(tmp_path, [math.nan, 0.5, 0.7, None, 0.7])
    assert [row["epoch"] for row in ranked(history.rows, "dice")] == [3, 5, 2, 1]
    assert history.best("dice")["epoch"] == 3
    assert [row["epoch"] for row in ranked(history.rows, "dice", "min")] == [2, 3, 5, 1]
    assert history.best("loss", "min")["epoch"] == 5
    assert filled(tmp_path, [math.nan, math.nan]).best("dice")["epoch"] == 1
    rows = pd.DataFrame(history.rows).to_dict("records")
    assert [row["epoch"] for row in ranked(rows, "dice")] == [3, 5, 2, 1]


def test_a_state_of_plain_json_brings_everything_back(tmp_path):
    history = filled(tmp_path, [math.nan, 0.5])
    state = json.loads(json.dumps(history.state(ended=True)))
    assert (state["epoch"], state["ended"], state["ended_by"]) == (2, True, "early stopping")
    other = History(Run(tmp_path), 9, "dice")
    other.restore(None)
    assert other.epoch == 0
    other.restore(state)
    pd.testing.assert_frame_equal(pd.DataFrame(other.rows), pd.DataFrame(history.rows))
    other.add(3, "train", {"loss": 0.1, "dice": 0.2}, 0.01, 1.0)
    assert len(state["rows"]) == 4, "a state stays as it was"


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("validation", "validation")])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused(tmp_path, split, name, loss):
    with pytest.raises(MedsegError, match=f"The {name} loss became {loss} in epoch 4. Try a lower learning_rate"):
        filled(tmp_path, [0.5]).add(4, split, {"loss": loss}, 0.1, 1.0)


@pytest.mark.parametrize(
    ("budget", "epochs", "expected"),
    [
        (Budget(), 8, ""),
        (Budget(), 9, "max_epochs"),
        (Budget(max_steps=21, steps_per_epoch=10), 2, ""),
        (Budget(max_steps=21, steps_per_epoch=10), 3, "max_steps"),
        (Budget(max_steps=20, steps_per_epoch=10), 2, "max_steps"),
        (Budget(max_minutes=0.05), 2, ""),  # 1.235 s each
        (Budget(max_minutes=0.05), 3, "max_minutes"),
        (Budget(max_steps=1000, max_minutes=0.05), 3, "max_minutes"),
        (Budget(max_steps=3, max_minutes=60), 3, "max_steps"),
        (Budget(max_steps=9), 9, "max_steps"),
    ],
)
def test_the_first_limit_ends_a_training_also_after_a_kill(tmp_path, budget, epochs, expected):
    history = filled(tmp_path, [0.5] * epochs, budget=budget)
    assert history.ending() == expected
    state = history.state(ended=bool(expected))
    assert (state["ended_by"], state["steps"]) == (expected, epochs * budget.steps_per_epoch)
    other = History(Run(tmp_path), 9, "dice", budget)
    other.restore(json.loads(json.dumps(state)))
    assert other.ending() == expected


def test_an_epoch_about_to_end_counts_with_its_seconds(tmp_path):
    history = filled(tmp_path, [0.5], budget=Budget(max_minutes=0.1))
    assert history.ending(2, 4.7) == ""
    assert history.ending(2, 4.8) == "max_minutes"
    assert history.ending(9) == "max_epochs"


def test_progress_is_that_of_the_nearest_limit(tmp_path):
    filled(tmp_path, [0.5, 0.5], budget=Budget(max_steps=50, max_minutes=1, steps_per_epoch=10)).write()
    assert progress.read(tmp_path)["text"].startswith("epoch 2, step 20/50 | loss")
    assert (progress.read(tmp_path)["done"], progress.read(tmp_path)["total"]) == (20, 50)
    filled(tmp_path, [0.5] * 30, max_epochs=99, budget=Budget(max_minutes=1, max_steps=10_000)).begin()
    assert progress.read(tmp_path) == {"done": 37, "total": 60, "text": "epoch 31, 0.6/1 min ..."}


@pytest.mark.parametrize(("halvings", "batches", "steps"), [(0, 6, 6), (1, 12, 6), (2, 24, 6), (0, 0, 1)])
def test_steps_are_those_of_the_batch_size_that_was_asked_for(monkeypatch, halvings, batches, steps):
    monkeypatch.setenv(job.HALVINGS_VARIABLE, str(halvings))
    parameters = {"batch_size": 8, "accumulate": 1, "max_steps": 30, "max_minutes": 1.5}
    assert Budget.of(parameters, batches) == Budget(30, 1.5, steps)
    assert Budget.of({"batch_size": 8, "accumulate": 1}, batches) == Budget(0, 0.0, steps)
