"""Every option of a training changes what it says, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from test_keras_training import _train
from tiny_network import tiny_model

from medseg.errors import MedsegError
from medseg.experiments.schedules import factor
from medseg.keras_legacy import training
from medseg.keras_legacy.check import check
from medseg.tf_shared import optimisation


@pytest.mark.parametrize("name", sorted(optimisation.OPTIMIZERS))
def test_every_optimizer_of_keras_moves_the_weights(name):
    network = tiny_model(1).network
    training.compile_network(network, "bce", optimisation.build(name, 0.1))
    before = [weight.numpy() for weight in network.trainable_weights]
    network.train_on_batch(np.random.default_rng(0).normal(size=(2, 32, 32, 3)), np.ones((2, 32, 32, 1), np.uint8))
    moved = [not np.array_equal(a, b.numpy()) for a, b in zip(before, network.trainable_weights, strict=True)]
    assert np.mean(moved) > 0.7
    assert type(network.optimizer).__name__.lower() == name


def test_settings_reach_an_optimizer_and_wrong_ones_are_refused_in_words():
    made = optimisation.build("sgd(momentum=0.8, nesterov=True)", 0.1, gradient_clip=2.0)
    assert (made.momentum, made.nesterov, made.global_clipnorm) == (0.8, True, 2.0)
    for written, message in (
        ("adan", "no optimizer 'adan'. Did you mean 'ada"),
        ("sgd(momentun=0.9)", "no setting 'momentun'. Did you mean 'momentum'"),
        ("sgd(learning_rate=1)", "learning_rate is a parameter of the notebook"),
        ("sgd(clipnorm=1)", "clipnorm is a parameter of the notebook .gradient_clip"),
        ("sgd(momentum=2)", "cannot be had"),
        ("sgd(0.9)", "write it like"),
    ):
        with pytest.raises(MedsegError, match=message):
            optimisation.build(written, 0.1)


@pytest.mark.parametrize("schedule", ["polynomial", "cosine", "step"])
def test_the_rate_follows_its_schedule_after_the_warm_up(parameters, discs, schedule):
    given = {"max_epochs": 6, "restart_epochs": 2, "restart_factor": 1, "warmup_epochs": 2}
    _, history = _train({**parameters, **given, "schedule": schedule, "feeding": "train_on_batch"}, discs)
    rates = history.loc[history["split"] == "train", "learning_rate"]
    expected = [parameters["learning_rate"] * factor(epoch, schedule, **given) for epoch in range(6)]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert rates.iloc[:3].is_monotonic_increasing


def test_plateau_waits_for_the_end_of_the_warm_up(parameters, discs, monkeypatch):
    monkeypatch.setattr(training, "PLATEAU", {"factor": 0.5, "patience": 1, "min_delta": 10})
    _, history = _train({**parameters, "max_epochs": 6, "warmup_epochs": 2}, discs)
    rates = history.loc[history["split"] == "train", "learning_rate"] / parameters["learning_rate"]
    np.testing.assert_allclose(rates, [1 / 3, 2 / 3, 1, 1, 0.5, 0.25], rtol=1e-6)


def test_label_smoothing_moves_the_truth_that_is_trained_on_and_no_other():
    pictures = tf.random.normal((2, 32, 32, 3), seed=1)
    truth = tf.cast(tf.random.uniform((2, 32, 32, 1), seed=2) > 0.5, tf.uint8)
    found = {}
    for smoothing in (0.0, 0.2):
        network = tiny_model(1).network
        training.compile_network(network, "bce", tf_keras.optimizers.SGD(0.0))
        network.label_smoothing = smoothing
        trained = network.train_on_batch(pictures, truth, return_dict=True)
        network.reset_metrics()
        found[smoothing] = trained, network.test_on_batch(pictures, truth, return_dict=True)
    logits = tiny_model(1).network(pictures, training=True)
    smooth = tf.cast(truth, tf.float32) * 0.8 + 0.1
    assert found[0.2][0]["loss"] == pytest.approx(float(training.bce(smooth, logits)), abs=1e-5)
    assert found[0.0][0]["loss"] == pytest.approx(float(training.bce(truth, logits)), abs=1e-5)
    assert found[0.2][0]["dice"] == pytest.approx(found[0.0][0]["dice"], abs=1e-6)
    assert found[0.2][1]["loss"] == pytest.approx(found[0.0][1]["loss"], abs=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_clipped_to_their_norm(accumulate):
    pictures = tf.random.normal((2, 32, 32, 3), seed=1)
    truth = tf.ones((2, 32, 32, 1), tf.uint8)
    network = tiny_model(1).network
    training.compile_network(network, "bce", optimisation.build("sgd", 1.0, gradient_clip=0.01))
    network.accumulate(accumulate, 10)
    before = [tf.identity(weight) for weight in network.trainable_weights]
    for _ in range(accumulate):
        network.train_on_batch(pictures, truth)
    steps = [a - b for a, b in zip(network.trainable_weights, before, strict=True)]
    assert float(tf.linalg.global_norm(steps)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamx"}, "no optimizer 'adamx'"),
        ({"schedule": "polynomial", "max_steps": 9}, "steps or minutes end this training earlier"),
        ({"schedule": "onecycle", "warmup_epochs": 1}, "warm-up of its own"),
        ({"warmup_epochs": 99}, "warmup_epochs is 99"),
        ({"gradient_clip": -1.0}, "gradient_clip is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(parameters, changes, message):
    check(parameters)
    with pytest.raises(MedsegError, match=message):
        check({**parameters, **changes})
