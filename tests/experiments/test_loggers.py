"""Loggers beside the history: TensorBoard's own reader finds what was logged; one that fails ends nothing."""

import json
import subprocess
import sys
import types

import cv2
import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.experiments import loggers
from medseg.experiments.history import History
from medseg.experiments.runs import Run

READER = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1], size_guidance={"images": 0, "tensors": 0})
found.Reload()
tags = found.Tags()
print(json.dumps({
    "scalars": {tag: [[event.step, event.value] for event in found.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [[i.step, i.width, i.height, len(i.encoded_image_string)] for i in found.Images(tag)]
               for tag in tags["images"]},
    "texts": {tag: found.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in tags["tensors"]},
}))
"""


def run_of(folder, names):
    run = Run(folder / "runs" / "polyp" / "unet-1")
    run.folder.mkdir(parents=True)
    run.update(study="polyp", parameters={"logger": names, "loss": "dice", "seed": 3}, selection={"best_epoch": 2})
    return run


def train(run, epochs, history=None):
    history = history or History(run, 9, "dice")
    history.begin()
    for epoch in epochs:
        for split in ("train", "validation"):
            history.add(epoch, split, {"loss": 1 / epoch, "dice": epoch / 10}, 0.1, 2.0)
        history.write()
    return history


def read(run):
    done = subprocess.run([sys.executable, "-c", READER, str(run.folder)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_tensorboards_own_reader_finds_curves_parameters_and_pictures(tmp_path):
    run = run_of(tmp_path, ["tensorboard"])
    state = train(run, [1, 2]).state(ended=False)
    picture = cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    loggers.log_picture(run, "validation", picture)
    found = read(run)
    assert found["scalars"]["loss/train"] == [[1, 1.0], [2, 0.5]]
    np.testing.assert_allclose(found["scalars"]["dice/validation"], [[1, 0.1], [2, 0.2]])
    np.testing.assert_allclose(found["scalars"]["learning_rate"], [[1, 0.1], [2, 0.1]])
    assert found["images"] == {"validation": [[2, 30, 20, len(picture)]]}
    assert '**run**: "unet-1"' in found["texts"]["parameters"]
    assert '**loss**: "dice"' in found["texts"]["parameters"]
    assert (run.folder / "history.csv").is_file()

    resumed = History(run, 9, "dice")
    resumed.restore({**state, "rows": [row for row in state["rows"] if row["epoch"] == 1]})
    train(run, [2, 3], resumed)
    assert [step for step, _ in read(run)["scalars"]["loss/train"]] == [1, 2, 3]


def test_the_logger_needs_neither_framework(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_loggers as t; "
        "t.train(t.run_of(pathlib.Path(sys.argv[2]), ['tensorboard']), [1]); "
        "sys.exit(bool({'torch', 'tensorflow'} & set(sys.modules)))"
    )
    folder = str(__file__).rpartition("/")[0]
    assert subprocess.run([sys.executable, "-c", code, folder, str(tmp_path)], check=False).returncode == 0


def test_nothing_is_logged_where_nobody_asks(tmp_path):
    run = run_of(tmp_path, [])
    train(run, [1])
    assert not list(run.folder.glob("events*"))


def test_a_logger_that_fails_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    class Broken:
        def __init__(self, run):
            raise ConnectionError("no server")

    monkeypatch.setitem(loggers.LOGGERS, "wandb", Broken)
    run = run_of(tmp_path, ["wandb", "tensorboard"])
    train(run, [1, 2])
    assert capsys.readouterr().out.count("logger wandb stopped: ConnectionError: no server") == 1
    assert read(run)["scalars"]["loss/train"] == [[1, 1.0], [2, 0.5]]


def test_wandb_and_mlflow_get_run_parameters_and_figures(tmp_path, monkeypatch):
    calls = []
    wandb, mlflow = types.ModuleType("wandb"), types.ModuleType("mlflow")

    class Started:
        def log(self, values, step):
            calls.append(("wandb", step, sorted(values)))

    wandb.init = lambda **given: (
        calls.append(("init", given["id"], given["project"], given["config"]["loss"])) or Started()
    )
    mlflow.set_experiment = lambda name: calls.append(("experiment", name))
    mlflow.start_run = lambda run_name: calls.append(("start", run_name))
    mlflow.log_params = lambda values: calls.append(("params", values["loss"]))
    mlflow.log_metrics = lambda values, step: calls.append(("mlflow", step, values["loss/train"]))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    train(run_of(tmp_path, ["wandb", "mlflow"]), [1])
    columns = ["dice/train", "dice/validation", "learning_rate", "loss/train", "loss/validation", "seconds"]
    assert calls == [
        ("init", "unet-1", "medseg-polyp", "dice"), ("experiment", "medseg-polyp"), ("start", "unet-1"),
        ("params", "dice"), ("wandb", 1, columns), ("mlflow", 1, 1.0),
    ]  # fmt: skip


def test_what_is_not_there_is_refused_before_anything_starts():
    loggers.check(["tensorboard"])
    with pytest.raises(MedsegError, match="no logger 'tensorbord'. Did you mean 'tensorboard'"):
        loggers.check(["tensorbord"])
    with pytest.raises(MedsegError, match="logger mlflow is not installed"):
        loggers.check(["mlflow"])
