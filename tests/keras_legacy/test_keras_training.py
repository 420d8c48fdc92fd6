"""A training from start to scores: both ways to feed, learning, resuming after a kill, recording, selecting."""

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tf_keras
from small_trainings import check_begins_anew, check_budget, check_goes_back, kill_after, start
from tiny_network import tiny_model

from medseg import project
from medseg.datasets import index
from medseg.datasets.frames import epoch_order
from medseg.errors import MedsegError
from medseg.experiments import job, runs
from medseg.keras_legacy import training
from medseg.keras_legacy.data import FEEDINGS, TrainingBatches, ValidationBatches, feed

STAGE = ("polyp", "2_train_keras")
FIGURES = ["loss", "dice", "iou", "learning_rate"]
IMPATIENT = {"factor": 0.7, "patience": 1, "min_delta": 10}  # the rate falls after every epoch but the first
SCRIPT = """
from medseg.keras_legacy import training
import tensorflow as tf
from tiny_network import tiny_model
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
[training.PLATEAU] = extra
with runs.training(run, *stage, parameters, dataset):
    training.train(run, tiny_model(parameters["seed"]), dataset, parameters)
"""


def _train(parameters, dataset):
    run = runs.prepare_run(*STAGE, parameters, dataset)
    with runs.training(run, *STAGE, parameters, dataset):
        history = training.train(run, tiny_model(parameters["seed"]), dataset, parameters)
    return run, history


@pytest.mark.parametrize("accumulate", [1, 2])
def test_both_ways_to_feed_give_the_same_figures(parameters, discs, accumulate):
    parameters |= {"accumulate": accumulate, "batch_size": 4}
    fit, by_batch = (_train({**parameters, "feeding": feeding}, discs)[1] for feeding in FEEDINGS)
    assert list(fit["epoch"]) == [1, 1, 2, 2, 3, 3]
    assert list(fit["split"]) == ["train", "validation"] * 3
    assert list(fit.columns) == ["epoch", "split", "loss", "dice", "iou", "learning_rate", "seconds"]
    np.testing.assert_allclose(fit[FIGURES], by_batch[FIGURES], atol=1e-5)
    assert fit["loss"].nunique() == 6


def test_a_killed_training_goes_on_as_if_nothing_had_happened(parameters, discs, tmp_path, monkeypatch):
    # The learning rate falls within the twelve epochs, so the schedule's place must survive too.
    monkeypatch.setattr(training, "PLATEAU", IMPATIENT)
    options = ({}, {"optimizer": "sgd(momentum=0.9)", "gradient_clip": 1.0, "label_smoothing": 0.1})
    asked = [
        {**parameters, "max_epochs": 12, "feeding": feeding, "accumulate": 1 + n, **options[n]}
        for n, feeding in enumerate(FEEDINGS)
    ]
    folder = Path(__file__).parent
    kill_after(
        3,
        *(
            (start(SCRIPT, STAGE, wanted, IMPATIENT, folder=folder), runs.prepare_run(*STAGE, wanted, discs))
            for wanted in asked
        ),
    )
    for wanted in asked:
        run, resumed = _train(wanted, discs)
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
            _, undisturbed = _train(wanted, discs)
        assert list(resumed["epoch"]) == list(undisturbed["epoch"]) == [e for e in range(1, 13) for _ in range(2)]
        np.testing.assert_allclose(resumed[FIGURES], undisturbed[FIGURES], atol=1e-4)
        assert resumed["learning_rate"].nunique() == 11
        assert len(list((run.folder / "validation").glob("epoch-*.jpg"))) == 12


def test_a_training_that_goes_back_to_its_last_checkpoint_equals_an_undisturbed_one(parameters, discs, monkeypatch):
    parameters |= {"max_epochs": 5, "checkpoint_minutes": 5.0, "keep_last": False}
    monkeypatch.setattr(training, "PLATEAU", IMPATIENT)
    run = runs.prepare_run(*STAGE, parameters, discs)
    check_goes_back(monkeypatch, lambda: _train(parameters, discs)[1], run)
    assert [path.name for path in run.checkpoints.iterdir()] == ["best.h5"]


def test_training_learns_and_the_record_says_how(parameters, discs):
    parameters |= {"max_epochs": 12, "batch_size": 4}
    run, history = _train(parameters, discs)
    validation = history[history["split"] == "validation"]
    assert validation["iou"].max() > 0.6
    record = run.record
    assert record["status"] == "finished"
    assert record["selection"]["best_value"] == pytest.approx(validation["iou"].max())
    assert record["selection"]["epochs_trained"] == 12
    assert record["model"]["weights"] == "random"
    assert record["model"]["parameters_total"] > record["model"]["parameters_trainable"] > 0
    assert record["device"] == {"kind": "cpu", "name": record["device"]["name"], "precision": "fp32"}
    assert record["peak_memory_mb"]["host"] > 100

    # The best checkpoint scores what the selection recorded, and Keras reads it by itself.
    model = tiny_model()
    model.network.load_weights(run.checkpoints / "best.h5")
    scores = []
    for pictures, masks in ValidationBatches(discs, model.preprocess, resolution=32, batch_size=1):
        predicted = model.network(pictures, training=False).numpy() > 0
        scores.append((predicted & (masks > 0)).sum() / (predicted | (masks > 0)).sum())
    assert np.mean(scores) == pytest.approx(record["selection"]["best_value"], abs=1e-4)

    # A finished run is not trained again, and its record stays.
    _, again = _train(parameters, discs)
    assert run.record == record
    assert again.equals(history)


def test_training_stops_early_and_a_rerun_does_not_go_on(parameters, discs):
    parameters |= {"patience": 1, "learning_rate": 1e-12, "max_epochs": 50}
    run, history = _train(parameters, discs)
    assert run.record["selection"]["stopped_early"]
    assert history["epoch"].max() < 10
    (run.folder / "history.csv").unlink()
    run.update(status="running")  # as if killed between the last checkpoint and the end
    _, again = _train(parameters, discs)
    assert again["epoch"].max() == history["epoch"].max()
    assert run.status == "finished"


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(parameters, discs):
    parameters |= {"learning_rate": 1e38, "loss": "bce"}
    with pytest.raises(MedsegError, match="Try a lower learning_rate"):
        _train(parameters, discs)
    assert runs.prepare_run(*STAGE, parameters, discs).status == "failed"


def test_out_of_memory_names_the_batch_to_try(parameters, discs, monkeypatch):
    def exhausted(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    parameters |= {"batch_size": 4, "max_epochs": 1}
    monkeypatch.setitem(FEEDINGS, "fit", exhausted)
    with pytest.raises(MedsegError, match="Out of memory.*Try batch_size=2 and accumulate=2"):
        _train(parameters, discs)
    assert job.OUT_OF_MEMORY in runs.prepare_run(*STAGE, parameters, discs).record["error"].lower()
    monkeypatch.undo()
    monkeypatch.setenv(job.HALVINGS_VARIABLE, "1")
    monkeypatch.setenv(project.RUNS_VARIABLE, str(discs.folder.parent / "halved"))
    run, _ = _train(parameters, discs)
    assert run.record["batch"] == {"batch_size": 2, "accumulate": 2, "halved": True}


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_a_frame_that_cannot_be_read_is_named(parameters, discs, tmp_path, feeding):
    broken = index.load(shutil.copytree(discs.folder, tmp_path / "broken"))
    name = broken.split("train")["image"][int(epoch_order(parameters["seed"], 0, 24)[-1])]
    broken.path(name).write_bytes(b"no picture")
    with pytest.raises(MedsegError, match=f"{name} is not a readable picture"):
        _train({**parameters, "feeding": feeding}, broken)


@pytest.mark.parametrize("damaged", ["last.npz", "best.h5"])
def test_a_training_with_a_damaged_checkpoint_begins_anew(parameters, discs, damaged):
    parameters |= {"max_epochs": 3}
    check_begins_anew(lambda: _train(parameters, discs)[1], runs.prepare_run(*STAGE, parameters, discs), damaged)


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_memory_stays_flat(parameters, discs, feeding):
    model = tiny_model()
    training.compile_network(model.network, "bce+dice", tf_keras.optimizers.Adam(1e-3))
    common = {"resolution": 64, "batch_size": 2}
    batches = TrainingBatches(discs, model.preprocess, augmentation="warp", seed=1, **common)
    watcher = _Watcher()
    validation = ValidationBatches(discs, model.preprocess, **common)
    feed(feeding, model.network, batches, validation, [watcher], first_epoch=0, max_epochs=34)  # 408 steps
    resident = np.array(watcher.resident)
    assert len(resident) == 408
    assert np.median(resident[-20:]) < 1.02 * np.median(resident[90:110])


class _Watcher(tf_keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.resident = []

    def on_train_batch_end(self, batch, logs=None):
        self.resident.append(psutil.Process().memory_info().rss)


@pytest.mark.parametrize(("limit", "value"), [("max_steps", 11), ("max_minutes", 2.0)])
@pytest.mark.parametrize("feeding", FEEDINGS)
def test_a_budget_ends_the_training_and_what_was_used_survives_a_kill(
    parameters, discs, monkeypatch, limit, value, feeding
):
    parameters |= {limit: value, "max_epochs": 50, "feeding": feeding}
    run = runs.prepare_run(*STAGE, parameters, discs)
    check_budget(monkeypatch, lambda: _train(parameters, discs), run, limit, 5)
