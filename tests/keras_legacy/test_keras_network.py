"""Gradients that add up, and dropout that depends on seed and epoch alone."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tiny_network import tiny_model

from medseg.keras_legacy.network import SegmentationModel
from medseg.keras_legacy.training import bce, compile_network
from medseg.keras_legacy.unet import build_model
from medseg.tf_shared.device import Device

RNG = np.random.default_rng(0)
PICTURES = RNG.normal(size=(6, 8, 8, 3)).astype(np.float32)
MASKS = (RNG.random((6, 8, 8, 1)) > 0.5).astype(np.uint8)


def _linear(policy="float32"):
    tf_keras.utils.set_random_seed(0)
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(policy)
    pictures = tf_keras.layers.Input((8, 8, 3))
    logits = tf_keras.layers.Conv2D(1, 3, padding="same")(pictures)
    network = SegmentationModel(pictures, tf_keras.layers.Activation("linear", dtype="float32")(logits))
    tf_keras.mixed_precision.set_global_policy(before)
    network.compile(tf_keras.optimizers.SGD(0.5, jit_compile=False), loss=bce)
    return network


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_two_small_steps_accumulated_are_one_large_step(policy):
    large, small = _linear(policy), _linear(policy)
    large.train_on_batch(PICTURES[:4], MASKS[:4])
    small.accumulate(2, steps_per_epoch=10)
    small.begin_epoch(seed=0, epoch=0)
    before = small.get_weights()
    small.train_on_batch(PICTURES[:2], MASKS[:2])
    assert all(np.array_equal(a, b) for a, b in zip(before, small.get_weights(), strict=True))
    small.train_on_batch(PICTURES[2:4], MASKS[2:4])
    tolerance = 1e-6 if policy == "float32" else 2e-3
    for a, b in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)
    assert not np.allclose(before[0], small.get_weights()[0], atol=1e-2)
    assert len(small.weights) == 2  # the sums are no weights


def test_what_is_left_at_the_end_of_an_epoch_is_applied():
    network = _linear()
    network.accumulate(2, steps_per_epoch=3)
    network.begin_epoch(seed=0, epoch=0)
    weights = []
    for _ in range(3):
        network.train_on_batch(PICTURES[:2], MASKS[:2])
        weights.append(network.get_weights()[0])
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])
    assert network.optimizer.iterations.numpy() == 2


def test_loss_scaling_goes_with_accumulation():
    network = _linear("mixed_float16")
    network.accumulate(2, steps_per_epoch=4)
    plain = _linear()
    network.begin_epoch(seed=0, epoch=0)
    for part in (slice(0, 2), slice(2, 4)):
        network.train_on_batch(PICTURES[part], MASKS[part])
    plain.train_on_batch(PICTURES[:4], MASKS[:4])
    np.testing.assert_allclose(network.get_weights()[0], plain.get_weights()[0], atol=1e-3)


def test_dropout_repeats_by_seed_and_epoch():
    network = tiny_model().network

    def draws(seed, epoch):
        network.begin_epoch(seed, epoch)
        return [network(tf.constant(PICTURES), training=True).numpy() for _ in range(2)]

    first, again = draws(1, 0), draws(1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], draws(1, 1)[0])
    assert not np.array_equal(first[0], draws(2, 0)[0])


def test_xla_trains_the_same():
    losses = []
    for xla in (False, True):
        network = _linear()  # without dropout, for which XLA draws other numbers
        compile_network(network, "bce+dice", tf_keras.optimizers.Adam(0.01, jit_compile=xla), xla=xla)
        losses.append([network.train_on_batch(PICTURES, MASKS)[0] for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)
    assert losses[0][2] < losses[0][0]


def test_the_dropout_of_efficientnet_obeys_too():
    network = build_model("efficientnetb0", Device("cpu", "a CPU", "fp32")).network
    layer = next(layer for layer in network.layers if layer.name.endswith("_drop"))

    def draw(epoch):
        network.begin_epoch(0, epoch)
        return layer(tf.ones((64, 1, 1, 4)), training=True).numpy()

    assert np.array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))
