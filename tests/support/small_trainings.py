"""A tiny dataset, and a training in a process of its own that is killed in the middle, for any framework."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from medseg.datasets import index
from medseg.experiments import checkpoints
from medseg.experiments.history import History

#: Beginning of a program that trains: parameters, dataset and run of the arguments that :func:`start` gives it.
PRELUDE = """
import json, sys
from medseg.datasets import index
from medseg.experiments import runs
sys.path.insert(0, sys.argv[1])
stage, parameters, *extra = map(json.loads, sys.argv[2:])
dataset = index.load(parameters["data"])
run = runs.prepare_run(*stage, parameters, dataset)
"""


def dataset(folder, counts, draw, **info):
    """Prepare ``counts`` of each split; ``draw(rng, number)`` gives a BGR picture, its label, and facts by split."""
    rng = np.random.default_rng(0)
    splits = [split for split, count in counts.items() for _ in range(count)]
    with index.writing(folder, **info) as draft:
        for number, split in enumerate(splits):
            picture, label, facts = draw(rng, number)
            row = {"case_id": f"{number:02d}", "image": f"images/{number}.png", "label": f"labels/{number}.png"}
            for name, pixels in (("image", picture), ("label", label)):
                draft.write_file(row[name], cv2.imencode(".png", pixels)[1].tobytes())
            draft.rows.append({**row, "group": f"{split}-{number}", "split": split, "fold": -1, **facts(split)})
    return index.load(folder)


def discs(folder):
    """24 bright discs on noise to train, 6 to validate, 6 to test, each 48 x 40 pixels."""

    def draw(rng, number):
        mask = np.zeros((40, 48), np.uint8)
        cv2.circle(mask, tuple(int(v) for v in rng.integers(12, 28, 2)), int(rng.integers(5, 11)), 255, -1)
        picture = np.clip(rng.normal(90, 25, (40, 48, 3)) + mask[..., None] * 0.4, 0, 255).astype(np.uint8)
        return picture, mask, lambda split: {"test_set": "Discs" if split == "test" else ""}

    counts = {"train": 24, "validation": 6, "test": 6}
    return dataset(folder, counts, draw, study="polyp", name="discs", classes=["polyp"], protocol="discs")


def check_lower_precision(path, lower, predict, precision="fp16", within=0.01):
    """``predict()`` reads ``path``: the same to ``within`` after ``lower``, from little more than half of the bytes."""
    before, size = predict(), path.stat().st_size
    lower(path, precision)
    once, smaller = predict(), path.stat().st_size
    differences = [np.abs(one - other).max() for one, other in zip(before, once, strict=True)]
    assert 0 < max(differences) < within
    assert smaller < 0.65 * size
    lower(path, precision)  # as after a kill between this and the record
    for one, other in zip(once, predict(), strict=True):
        np.testing.assert_array_equal(one, other)


def start(script, stage, parameters, *extra, folder):
    """Begin a program after :data:`PRELUDE`, which may import modules of the tests' ``folder``."""
    arguments = [str(Path(folder)), *map(json.dumps, (stage, parameters, *extra))]
    return subprocess.Popen([sys.executable, "-c", PRELUDE + script, *arguments])


def kill_after(epochs, *trainings):
    """Kill each (process, run) as soon as ``epochs`` are in its history; the runs are interrupted then."""
    alive = list(trainings)
    while alive:
        for process, run in list(alive):
            history = run.folder / "history.csv"
            if history.is_file() and len(history.read_text().splitlines()) > 2 * epochs:
                process.kill()
                assert process.wait() == -9, "the training ended by itself"
                assert run.status == "interrupted"
                assert epochs <= run.history()["epoch"].max() < run.record["parameters"]["max_epochs"]
                alive.remove((process, run))
            else:
                assert process.poll() is None, "the training failed"
        time.sleep(0.005)


class Killed(BaseException):
    """The process is gone."""


def check_begins_anew(train, run, damaged):
    """Assert that ``train()``, which gives the history, is the same again where the checkpoint ``damaged`` was cut.

    As after a kill; the checkpoints are whole then, and the record says what happened.
    """
    history = train().drop(columns="seconds")
    assert "begun_anew" not in run.record
    path = run.checkpoints / damaged
    content = path.read_bytes()
    path.unlink()  # names of the same epoch may be links to one file: the others stay whole
    path.write_bytes(content[: len(content) // 2])
    run.update(status="running")
    again = train().drop(columns="seconds")
    pd.testing.assert_frame_equal(again, history, rtol=1e-4)
    assert run.status == "finished"
    assert run.record["begun_anew"].startswith(f"{damaged} is damaged (")
    assert checkpoints.fault_in(run.checkpoints) == ""


def check_goes_back(monkeypatch, train, run):
    """Assert that ``train()``, which gives the history, ends as undisturbed when it is killed after its fourth epoch.

    It goes on from the second then, the last one with a checkpoint. What it leaves is without ``last``.
    """
    write, begin, due, begun = History.write, History.begin, iter(range(1, 99)), []

    def dying(history):
        write(history)
        if history.epoch == 4:
            raise Killed

    def watched(history):
        begin(history)
        begun.append(list(run.history()["epoch"].unique()))

    with monkeypatch.context() as deadly, pytest.raises(Killed):
        deadly.setattr(History, "write", dying)
        deadly.setattr(checkpoints.Due, "now", lambda *_, **__: next(due) == 2)
        train()
    assert run.history()["epoch"].max() == 4
    with monkeypatch.context() as seen:
        seen.setattr(History, "begin", watched)
        resumed = train()
    assert begun == [[1, 2]]
    left = sorted(path.name for path in run.checkpoints.iterdir())
    assert not [name for name in left if name.startswith("last.")]
    pd.testing.assert_frame_equal(train(), resumed)  # a finished run is not trained again
    shutil.rmtree(run.folder)
    undisturbed = train()
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), undisturbed.drop(columns="seconds"), rtol=1e-4)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == left


def check_budget(monkeypatch, train, run, limit, steps_per_epoch):
    """Assert that ``train()``, killed after its second epoch, ends with the third, where ``limit`` is reached.

    ``limit`` is a parameter of ``run``: max_steps between two and three epochs of ``steps_per_epoch``, or two of
    max_minutes; for every epoch is noted that it took 40 seconds.
    """
    add, write = History.add, History.write

    def dying(history):
        write(history)
        if history.epoch == 2:
            raise Killed

    monkeypatch.setattr(History, "add", lambda history, *figures: add(history, *figures[:-1], 40.0))
    with monkeypatch.context() as deadly, pytest.raises(Killed):
        deadly.setattr(History, "write", dying)
        train()
    train()
    record = run.record
    assert run.history()["epoch"].max() == 3
    assert record["durations"]["train_seconds"] == 120
    expected = {"epochs_trained": 3, "steps_trained": 3 * steps_per_epoch, "ended_by": limit, "stopped_early": False}
    assert {name: record["selection"][name] for name in expected} == expected
    run.update(status="running")  # as if killed between the last epoch and the end
    train()
    assert run.history()["epoch"].max() == 3
    assert run.record["selection"] == record["selection"]
