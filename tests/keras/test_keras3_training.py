"""A training from start to scores: learning, resuming after a kill, several devices, recording, selecting."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small_network import CPU, small_model
from small_trainings import check_begins_anew, check_budget, check_goes_back, kill_after, start

from medseg import project
from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.experiments import job, runs
from medseg.keras import checkpoint, training
from medseg.keras.losses import build_loss
from medseg.keras.models import build_model
from medseg.keras.steps import Steps
from medseg.tf_shared import device as devices

STAGE = ("gastric", "2_train")
FIGURES = ["loss", "dice", "iou", "binary_iou", "learning_rate"]
SCRIPT = """
from medseg.keras import training
import tensorflow as tf
from small_network import small_model
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
with runs.training(run, *stage, parameters, dataset):
    training.train(run, small_model(seed=parameters["seed"]), dataset, parameters)
"""


def _train(parameters, dataset, model=None):
    run = runs.prepare_run(*STAGE, parameters, dataset)
    with runs.training(run, *STAGE, parameters, dataset):
        history = training.train(run, model or small_model(seed=parameters["seed"]), dataset, parameters)
    return run, history


def test_a_killed_training_goes_on_as_if_nothing_had_happened(parameters, discs, tmp_path, monkeypatch):
    # 23 samples in six steps, two by two; the rate rises for three epochs, then falls and restarts within the rest.
    parameters |= {"max_epochs": 16, "accumulate": 2, "warmup": 3, "restart_epochs": 7}
    parameters |= {"optimizer": "adamw(weight_decay=0.01)", "gradient_clip": 1.0, "label_smoothing": 0.1}
    run = runs.prepare_run(*STAGE, parameters, discs)
    kill_after(4, (start(SCRIPT, STAGE, parameters, folder=Path(__file__).parent), run))

    # Another start than before the kill: everything that matters has to come from the checkpoint.
    run, resumed = _train(parameters, discs, small_model(seed=99))
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
    other, undisturbed = _train(parameters, discs)
    assert list(resumed["epoch"]) == list(undisturbed["epoch"]) == [e for e in range(1, 17) for _ in range(2)]
    np.testing.assert_allclose(resumed[FIGURES], undisturbed[FIGURES], atol=1e-4)
    assert run.record["selection"] == {**other.record["selection"], **_values(run)}
    for name in checkpoint.FILES.values():
        with np.load(run.checkpoints / name) as one, np.load(other.checkpoints / name) as two:
            assert set(one.files) == set(two.files)
            for key in set(one.files) - {"state"}:
                np.testing.assert_allclose(one[key], two[key], atol=1e-4, err_msg=key)


def test_a_training_that_goes_back_to_its_last_checkpoint_equals_an_undisturbed_one(parameters, discs, monkeypatch):
    parameters |= {"max_epochs": 5, "checkpoint_minutes": 5.0, "keep_last": False}
    run = runs.prepare_run(*STAGE, parameters, discs)
    check_goes_back(monkeypatch, lambda: _train(parameters, discs)[1], run)
    kept = {path.name: path.stat() for path in run.checkpoints.iterdir()}
    assert set(kept) - {checkpoint.FROZEN} == {"best_loss.npz", "best_iou.npz", "latest.npz"}
    with np.load(run.checkpoints / "latest.npz") as latest:
        assert not [name for name in latest if name == "state" or name.startswith("optimizer/")]
    epochs = {name: entry["epoch"] for name, entry in run.record["selection"]["checkpoints"].items()}
    same_epoch = len(set(epochs.values()))
    assert len({kept[checkpoint.file_of(run.checkpoints, name).name].st_ino for name in epochs}) == same_epoch


def _values(run):
    return {name: run.record["selection"][name] for name in ("best_value", "checkpoints")}


def test_training_learns_and_the_record_says_how(parameters, discs):
    parameters |= {"max_epochs": 14, "restart_epochs": 20, "augmentation": "none"}
    run, history = _train(parameters, discs)
    assert list(history.columns) == ["epoch", "split", "loss", "dice", "iou", "binary_iou", "learning_rate", "seconds"]
    validation = history[history["split"] == "validation"].reset_index(drop=True)
    assert validation["iou"].max() > 0.5
    assert validation["loss"].iloc[-1] < 0.8 * validation["loss"].iloc[0]
    record = run.record
    assert record["status"] == "finished"
    chosen, kept = record["selection"], record["selection"]["checkpoints"]
    assert (chosen["metric"], chosen["mode"], chosen["epochs_trained"]) == ("validation loss", "min", 14)
    assert chosen["best_value"] == kept["best_loss"]["value"] == pytest.approx(validation["loss"].min())
    assert chosen["best_epoch"] == kept["best_loss"]["epoch"] == validation["loss"].idxmin() + 1
    assert kept["best_iou"]["value"] == pytest.approx(validation["binary_iou"].max())
    assert kept["latest"]["epoch"] == 14
    assert record["model"]["weights"] == "random"
    assert record["model"]["parameters_total"] > record["model"]["parameters_trainable"] > 0
    assert record["device"] == {"kind": "cpu", "name": record["device"]["name"], "precision": "fp32"}
    assert record["peak_memory_mb"]["host"] > 100

    # Each checkpoint scores what its epoch recorded.
    network = small_model(seed=7).network
    steps = Steps(network, build_loss(), 0.1)
    batches = training.validation_batches(discs, resolution=32, batch_size=2)
    for name, file in checkpoint.FILES.items():
        checkpoint.restore(network, run.checkpoints / file)
        row = validation.loc[kept[name]["epoch"] - 1]
        figures = steps.validate(iter(batches.dataset), batches.steps)
        assert figures["binary_iou"] == pytest.approx(row["binary_iou"], abs=1e-6)
        assert figures["iou"] == pytest.approx(row["iou"], abs=1e-6)

    # A finished run is not trained again, and its record stays.
    _, again = _train(parameters, discs)
    assert run.record == record
    assert again.equals(history)


def test_training_stops_early_and_a_rerun_does_not_go_on(parameters, discs):
    parameters |= {"patience": 2, "learning_rate": 1e6, "warmup": 2, "max_epochs": 30, "cross_entropy_weight": 0.0}
    run, history = _train(parameters, discs)
    assert run.record["selection"]["stopped_early"]
    assert history["epoch"].max() < 20
    (run.folder / "history.csv").unlink()
    run.update(status="running")  # as if killed between the last checkpoint and the end
    _, again = _train(parameters, discs)
    assert again["epoch"].max() == history["epoch"].max()
    assert run.status == "finished"


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(parameters, discs):
    parameters |= {"learning_rate": 1e38, "warmup": 0}
    with pytest.raises(MedsegError, match="loss became nan in epoch 1. Try a lower learning_rate"):
        _train(parameters, discs)
    assert runs.prepare_run(*STAGE, parameters, discs).status == "failed"


def test_out_of_memory_names_the_batch_to_try(parameters, discs, monkeypatch):
    def exhausted(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    parameters |= {"max_epochs": 1}
    monkeypatch.setattr(training.Steps, "train", exhausted)
    with pytest.raises(MedsegError, match="Out of memory.*Try batch_size=2 and accumulate=2"):
        _train(parameters, discs)
    assert job.OUT_OF_MEMORY in runs.prepare_run(*STAGE, parameters, discs).record["error"].lower()
    monkeypatch.undo()
    monkeypatch.setenv(job.HALVINGS_VARIABLE, "1")
    monkeypatch.setenv(project.RUNS_VARIABLE, str(discs.folder.parent / "halved"))
    run, _ = _train(parameters, discs)
    assert run.record["batch"] == {"batch_size": 2, "accumulate": 2, "halved": True}


def test_accumulated_gradients_are_those_of_the_whole_batch():
    rng = np.random.default_rng(0)
    pictures = rng.random((6, 32, 32, 3), np.float32)
    truth = rng.integers(0, 5, (6, 32, 32, 1)).astype(np.uint8)
    weights = []
    for batch_size, accumulate in ((6, 1), (2, 3), (2, 2)):
        network = small_model().network
        network.get_layer("norm").trainable = False  # its statistics would be those of each part
        network.get_layer("dropout").rate = 0
        batches = tf.data.Dataset.from_tensor_slices((pictures, truth)).batch(batch_size)
        steps = Steps(network, build_loss(1.0, 0.0), 0.5, accumulate=accumulate)
        steps.train(iter(batches), 6 // batch_size)
        weights.append(network.get_layer("head").get_weights()[0])
        changes = int(steps.optimizer.iterations)
        # 2 x 3: one change by the mean of three. 2 x 2: one by two, and the epoch's end gives one by the third alone.
        assert changes == {1: 1, 3: 1, 2: 2}[accumulate]
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-6)
    assert np.abs(weights[2] - weights[0]).max() > 1e-4


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_devices_share_every_batch_and_train_as_one_would(parameters, discs, tmp_path, monkeypatch, accumulate):
    # Nothing that depends on how a batch is cut: no batch statistics, no dropout, no Dice over the batch, and batches
    # that are cut in halves. The last of five validation samples would be alone in its batch.
    table = discs.index[(discs.index["split"] != "train") | (discs.index["case_id"] < "20")]
    twenty = replace(discs, index=table)
    parameters |= {"accumulate": accumulate, "warmup": 0, "dice_weight": 0.0, "max_epochs": 2}
    histories = []
    for count in (1, 2):
        monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / str(count)))
        device = devices.Device("cpu", "processors", "fp32", count)
        monkeypatch.setattr(devices, "choose", lambda *_, device=device: device)
        model = small_model(device)
        model.network.get_layer("norm").trainable = False
        model.network.get_layer("dropout").rate = 0
        histories.append(_train(parameters, twenty, model)[1])
    np.testing.assert_allclose(histories[0][FIGURES], histories[1][FIGURES], atol=1e-4)
    assert histories[0]["loss"].nunique() == 4


def test_fp16_scales_the_loss_and_its_scale_survives_a_checkpoint(tmp_path):
    device = devices.Device("cpu", "a processor", "fp16")
    rng = np.random.default_rng(0)
    batch = rng.random((2, 32, 32, 3), np.float32), rng.integers(0, 5, (2, 32, 32, 1)).astype(np.uint8)
    network = small_model(device).network
    steps = Steps(network, build_loss(), 0.1, half=True)
    figures = steps.train(iter([tuple(map(tf.constant, batch))]), 1)
    assert np.isfinite(figures["loss"])
    assert network.compute_dtype == "float16"
    assert all(variable.dtype == "float32" for variable in network.trainable_variables)
    steps.optimizer.dynamic_scale.assign(64.0)
    checkpoint.save_frozen(network, tmp_path)
    checkpoint.save_last(network, steps.optimizer, {"epoch": 1}, tmp_path / "last.npz")
    other = Steps(small_model(device, seed=5).network, build_loss(), 0.1, half=True)
    checkpoint.restore(other.network, tmp_path / "last.npz", other.optimizer)
    assert float(other.optimizer.dynamic_scale) == 64
    assert int(other.optimizer.iterations) == int(steps.optimizer.iterations) == 1
    for one, two in zip(network.weights, other.network.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_xla_trains_the_same():
    rng = np.random.default_rng(0)
    batch = rng.random((2, 32, 32, 3), np.float32), rng.integers(0, 5, (2, 32, 32, 1)).astype(np.uint8)
    weights = []
    for xla in (False, True):
        network = small_model().network
        network.get_layer("dropout").rate = 0  # XLA draws otherwise
        steps = Steps(network, build_loss(), 0.5, xla=xla)
        steps.train(iter(2 * [tuple(map(tf.constant, batch))]), 2)
        weights.append(network.get_layer("head").kernel.numpy())
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-4)
    assert np.abs(weights[0] - small_model().network.get_layer("head").kernel.numpy()).max() > 1e-3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_frame_that_cannot_be_read_is_named(parameters, discs, tmp_path, workers):
    broken = index.load(shutil.copytree(discs.folder, tmp_path / "broken"))
    name = broken.split("train")["image"][7]
    broken.path(name).write_bytes(b"no picture")
    with pytest.raises(MedsegError, match=f"{name} is not a readable picture"):
        _train({**parameters, "workers": workers}, broken)


@pytest.mark.parametrize("damaged", ["last.npz", "best_loss.npz", "best_iou.npz", "frozen.npz"])
def test_a_training_with_a_damaged_checkpoint_begins_anew(parameters, discs, damaged):
    parameters |= {"max_epochs": 3}
    check_begins_anew(lambda: _train(parameters, discs)[1], runs.prepare_run(*STAGE, parameters, discs), damaged)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    network = small_model().network
    checkpoint.save_weights(network, tmp_path / "best_loss.npz")
    with pytest.raises(MedsegError, match="frozen.npz of the run .* cannot be read"):
        checkpoint.restore(network, tmp_path / "best_loss.npz")
    network.get_layer("frozen").trainable = True
    with pytest.raises(MedsegError, match="frozen/bias is not in both"):
        checkpoint.restore(network, tmp_path / "best_loss.npz")


def test_the_tiny_transunet_trains(parameters, discs):
    names = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum", "seed")
    model = build_model(CPU, **{name: parameters[name] for name in names})
    run, history = _train(parameters, discs, model)
    assert np.isfinite(history["loss"]).all()
    validation = history[history["split"] == "validation"]["loss"]
    assert validation.iloc[1] < validation.iloc[0]
    assert not (run.checkpoints / "frozen.npz").exists()
    assert isinstance(history, pd.DataFrame)


@pytest.mark.parametrize(("limit", "value"), [("max_steps", 14), ("max_minutes", 2.0)])
def test_a_budget_ends_the_training_and_what_was_used_survives_a_kill(parameters, discs, monkeypatch, limit, value):
    parameters |= {limit: value, "max_epochs": 50}
    run = runs.prepare_run(*STAGE, parameters, discs)
    check_budget(monkeypatch, lambda: _train(parameters, discs), run, limit, 6)
