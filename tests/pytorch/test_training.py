"""A training from start to scores: learning, resuming after a kill, recording, selecting."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from medseg import project
from medseg.errors import MedsegError
from medseg.evaluation.binary import evaluate
from medseg.experiments import job, runs
from medseg.masks import rle
from medseg.pytorch import fitting, inference, training
from medseg.pytorch.check import check
from medseg.pytorch.data import training_loader, validation_loader
from medseg.pytorch.models import build_model

STAGE = ("polyp", "2_train_torch")
SCRIPT = """
import json, sys
import torch
from medseg.datasets import index
from medseg.experiments import runs
from medseg.pytorch.models import build_model
from medseg.pytorch.training import train
parameters = json.loads(sys.argv[1])
torch.set_num_threads(1)
dataset = index.load(parameters["data"])
run = runs.prepare_run("polyp", "2_train_torch", parameters, dataset)
with runs.training(run, "polyp", "2_train_torch", parameters, dataset):
    torch.manual_seed(parameters["seed"])
    model = build_model(parameters["architecture"], parameters["backbone"], width=parameters["width"])
    train(run, model, dataset, parameters)
"""


@pytest.fixture(autouse=True)
def one_thread_and_own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _train(parameters, dataset):
    run = runs.prepare_run(*STAGE, parameters, dataset)
    with runs.training(run, *STAGE, parameters, dataset):
        torch.manual_seed(parameters["seed"])
        model = build_model(parameters["architecture"], parameters["backbone"], width=parameters["width"])
        history = training.train(run, model, dataset, parameters)
    return run, history


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(parameters, discs, tmp_path, monkeypatch, schedule):
    # The learning rate falls within the six epochs in both schedules, so its position must survive too.
    parameters |= {"schedule": schedule, "accumulate": 2, "max_epochs": 12}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, json.dumps(parameters)])
    run = runs.prepare_run(*STAGE, parameters, discs)
    history = run.folder / "history.csv"
    while not history.is_file() or len(history.read_text().splitlines()) < 7:
        assert process.poll() is None, "the training ended by itself"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert run.status == "interrupted"
    done = run.history()["epoch"].max()
    assert 3 <= done < parameters["max_epochs"]

    run, resumed = _train(parameters, discs)
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
    _, undisturbed = _train(parameters, discs)
    assert list(resumed["epoch"]) == list(undisturbed["epoch"]) == [e for e in range(1, 13) for _ in range(2)]
    compared = ["loss", "dice", "iou", "learning_rate"]
    np.testing.assert_allclose(resumed[compared], undisturbed[compared], atol=1e-4)
    assert resumed["learning_rate"].nunique() > 1 or schedule == "plateau"
    best = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == run.record["selection"]["best_epoch"]


def test_training_learns_and_the_record_says_how(parameters, discs):
    parameters |= {"max_epochs": 15, "learning_rate": 0.01}
    run, history = _train(parameters, discs)
    validation = history[history["split"] == "validation"]
    assert validation["dice"].max() > 0.8
    record = run.record
    assert record["status"] == "finished"
    assert record["selection"]["best_value"] == pytest.approx(validation["dice"].max())
    assert record["selection"]["epochs_trained"] == 15
    assert record["model"]["weights"] == "random"
    assert record["device"] == {"kind": "cpu", "name": record["device"]["name"], "precision": "fp32"}
    assert record["peak_memory_mb"]["host"] > 100

    # The predictor is the best checkpoint: on validation it scores what selection recorded.
    predict = inference.load_predictor(run, "cpu")
    model = build_model("unet", "none", width=parameters["width"])
    saved = torch.load(run.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    model.network.load_state_dict({k.removeprefix("network."): v for k, v in saved.items()})
    model.network.eval()
    scores = []
    for pictures, masks in validation_loader(discs, resolution=32, batch_size=1):
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.normalisation.mean, model.normalisation.std))
        with torch.inference_mode():
            predicted = model.network((pictures / 255 - mean) / std) > 0
        scores.append(2 * (predicted & masks.bool()).sum().item() / (predicted.sum() + masks.sum()).item())
    assert np.mean(scores) == pytest.approx(record["selection"]["best_value"], abs=1e-4)

    with runs.evaluating(run):
        cases = evaluate(run, predict, discs, batch_size=4)
    assert run.evaluated
    assert len(cases) == 6
    assert cases["dice"].mean() > 0.75
    assert (cases[["tp", "fp", "fn", "tn"]].sum(axis=1) == 40 * 48).all()
    predictions = pd.read_csv(run.folder / "predictions" / "Discs.csv", keep_default_na=False)
    decoded = [int(rle.decode(code, (40, 48)).sum()) for code in predictions["rle"]]
    assert decoded == list(cases["tp"] + cases["fp"])
    assert run.record["evaluation"]["n_cases"] == {"Discs": 6}

    # A finished run is not trained again, and its record stays.
    before = run.record
    _, again = _train(parameters, discs)
    assert run.record == before
    pd.testing.assert_frame_equal(again, history)


def test_probabilities_come_back_at_each_pictures_own_size(parameters, discs):
    parameters |= {"max_epochs": 1}
    run, _ = _train(parameters, discs)
    predict = inference.load_predictor(run, "cpu")
    pictures = [np.zeros((40, 48, 3), np.uint8), np.full((33, 71, 3), 255, np.uint8)]
    maps = predict(pictures)
    assert [p.shape for p in maps] == [(40, 48), (33, 71)]
    assert all(p.dtype == np.float32 and 0 <= p.min() <= p.max() <= 1 for p in maps)
    np.testing.assert_allclose(maps[1], predict(pictures[1:])[0], atol=1e-6)
    (run.checkpoints / "best.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(MedsegError, match=r"best.ckpt cannot be used"):
        inference.load_predictor(run, "cpu")


def test_training_stops_early_and_a_rerun_does_not_go_on(parameters, discs):
    parameters |= {"patience": 1, "learning_rate": 1e-12, "max_epochs": 50}
    run, history = _train(parameters, discs)
    assert run.record["selection"]["stopped_early"]
    assert history["epoch"].max() < 10
    run.update(status="running")  # as if killed between the last epoch and the end
    _, again = _train(parameters, discs)
    assert again["epoch"].max() == history["epoch"].max()
    assert run.status == "finished"


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(parameters, discs):
    parameters |= {"learning_rate": 1e30, "loss": "bce"}
    with pytest.raises(MedsegError, match="Try a lower learning_rate"):
        _train(parameters, discs)
    run = runs.prepare_run(*STAGE, parameters, discs)
    assert run.status == "failed"
    assert "training loss became" in run.record["error"]


def test_out_of_memory_names_the_batch_to_try(parameters, discs, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched, pytest.raises(MedsegError, match="Try batch_size=2 and accumulate=2"):
        patched.setattr(fitting, "_fit", exhausted)
        _train(parameters, discs)
    assert job.OUT_OF_MEMORY in runs.prepare_run(*STAGE, parameters, discs).record["error"].lower()
    monkeypatch.setenv(job.HALVINGS_VARIABLE, "1")
    parameters |= {"max_epochs": 1}
    run, _ = _train(parameters, discs)
    assert run.record["batch"] == {"batch_size": 2, "accumulate": 2, "halved": True}


def test_a_spoilt_checkpoint_is_named(parameters, discs):
    run = runs.prepare_run(*STAGE, parameters, discs)
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / "last.ckpt").write_bytes(b"half")
    with pytest.raises(MedsegError, match=r"last.ckpt of the run .* cannot be read"):
        _train(parameters, discs)


def test_batches_repeat_by_seed_and_epoch_and_validation_is_untouched(discs):
    def batches(epoch, seed=1, workers=0):
        loader = training_loader(discs, resolution=32, augmentation="warp", batch_size=5, seed=seed, workers=workers)
        loader.sampler.set_epoch(epoch)
        return [pictures for pictures, _ in loader]

    first = batches(0)
    assert first[0].dtype == torch.uint8
    assert all(torch.equal(a, b) for a, b in zip(first, batches(0), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, batches(0, workers=2), strict=True))
    assert not torch.equal(first[0], batches(1)[0])
    assert not torch.equal(first[0], batches(0, seed=2)[0])
    assert [len(p) for p in first] == [5, 5, 5, 5, 4]
    one, two = (list(validation_loader(discs, resolution=32, batch_size=6)) for _ in range(2))
    assert torch.equal(one[0][0], two[0][0])
    assert set(torch.unique(one[0][1]).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture": "smp-unet", "backbone": "resnet19"}, "resnet1"),
        ({"architecture": "smp-unett"}, "smp-unet"),
        ({"loss": "dcie"}, "dice"),
        ({"augmentation": "wrap"}, "warp"),
        ({"resolution": 0}, "resolution is 0, expected 1 or more"),
        ({"resolution": 3}, "less than one step of the encoder"),
        ({"learning_rate": -1.0}, "expected a learning rate above 0"),
        ({"architecture": "smp-unet", "backbone": "resnet18", "width": 1.0, "weights": "none.pth"}, "does not exist"),
        ({"precision": "fp16"}, "of no use on a CPU"),
        ({"device": "mps"}, "not available here"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(parameters, changes, expected):
    check(parameters)
    with pytest.raises(MedsegError, match=expected):
        check({**parameters, **changes})
