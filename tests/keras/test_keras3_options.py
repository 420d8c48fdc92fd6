"""Every option of a training changes what it says, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf
from small_network import small_model
from test_keras3_training import _train

from medseg.errors import MedsegError
from medseg.experiments.schedules import factor
from medseg.keras.check import check
from medseg.keras.losses import build_loss, cross_entropy
from medseg.keras.steps import Steps
from medseg.tf_shared import optimisation


@pytest.mark.parametrize("name", sorted(optimisation.OPTIMIZERS))
def test_every_optimizer_of_keras_moves_the_weights(name):
    network = small_model(seed=1).network
    steps = Steps(network, build_loss(), 0.1, optimizer=lambda rate: optimisation.build(name, rate))
    assert type(steps.optimizer).__name__.lower() == name
    before = [weight.numpy() for weight in network.trainable_variables]
    pictures = tf.random.uniform((2, 32, 32, 3), 0, 255, seed=1)
    truth = tf.ones((2, 32, 32, 1), tf.uint8)
    steps.train(iter([(pictures, truth)]), 1)
    moved = [not np.array_equal(a, b.numpy()) for a, b in zip(before, network.trainable_variables, strict=True)]
    assert np.mean(moved) > 0.7


def test_the_rate_follows_its_schedule_after_the_warm_up(parameters, discs):
    given = {"max_epochs": 5, "restart_epochs": 2, "warmup": 2, "optimizer": "adam", "schedule": "polynomial"}
    _, history = _train({**parameters, **given}, discs)
    rates = history.loc[history["split"] == "train", "learning_rate"]
    expected = [
        parameters["learning_rate"] * factor(e, "polynomial", max_epochs=5, restart_epochs=2, warmup_epochs=2)
        for e in range(5)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_smoothed_labels_are_shared_among_the_classes():
    truth = tf.constant([[[[1], [0]]]], tf.uint8)
    logits = tf.constant([[[[0.2, 1.0, -1.0], [0.5, 0.0, 2.0]]]])
    log_p = tf.nn.log_softmax(logits)[0, 0].numpy()
    soft = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])
    assert float(cross_entropy(truth, logits, 0.3)) == pytest.approx(-(soft * log_p).sum(1).mean(), abs=1e-6)
    assert float(cross_entropy(truth, logits)) == pytest.approx(-(log_p[0, 1] + log_p[1, 0]) / 2, abs=1e-6)
    assert float(build_loss(1, 0, 0.3)(truth, logits)) == pytest.approx(float(cross_entropy(truth, logits, 0.3)))


def test_gradients_are_clipped_to_their_norm():
    network = small_model(seed=1).network
    steps = Steps(network, build_loss(), 1.0, optimizer=lambda rate: optimisation.build("sgd", rate, 0.01))
    before = [tf.identity(weight) for weight in network.trainable_variables]
    steps.train(iter([(tf.random.uniform((2, 32, 32, 3), 0, 255, seed=1), tf.ones((2, 32, 32, 1), tf.uint8))]), 1)
    moved = [a.value - b for a, b in zip(network.trainable_variables, before, strict=True)]
    assert float(tf.linalg.global_norm(moved)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamx"}, "no optimizer 'adamx'"),
        ({"schedule": "onecycle", "max_steps": 9}, "steps or minutes end this training earlier"),
        ({"schedule": "step", "warmup": 99}, "warmup_epochs is 99"),
        ({"gradient_clip": 1.0, "devices": 2, "batch_size": 4}, "gradient_clip is for one device"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(parameters, changes, message):
    with pytest.raises(MedsegError, match=message):
        check({**parameters, **changes})
