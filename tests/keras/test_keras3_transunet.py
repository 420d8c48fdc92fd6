"""The network: the published numbers of parameters, any size, what is frozen stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from medseg.errors import MedsegError
from medseg.keras.losses import build_loss
from medseg.keras.models import build_model
from medseg.keras.steps import Steps
from medseg.keras.transunet import build_transunet
from medseg.tf_shared import device as devices

RNG = np.random.default_rng(0)


def test_the_published_numbers_of_parameters_are_met_exactly(published):
    total, trainable = published.parameters_total, published.parameters_trainable
    print(f"total {total:,}, trainable {trainable:,}, frozen {total - trainable:,}")
    assert total == 100_861_024
    assert trainable == 7_409_632
    assert total - trainable == 93_451_392
    network = published.network
    assert network.get_layer("conv4_block6_preact_relu").output.shape == (None, 14, 14, 1024)
    assert network.get_layer("decoder_head").output.shape == (None, 224, 224, 16)
    assert network.output_shape == (None, 224, 224, 5)
    # What is trained: the decoder, and the final norm of the encoder.
    trained = {variable.path.split("/")[0].split("_")[0] for variable in network.trainable_variables}
    assert trained == {"encoder", "decoder", "classes"}
    of_encoder = [variable.path for variable in network.trainable_variables if variable.path.startswith("encoder")]
    assert of_encoder == ["encoder_norm/gamma", "encoder_norm/beta"]


@pytest.mark.parametrize("variant", ["hybrid", "plain"])
def test_what_is_frozen_stays_frozen(variant):
    network = build_transunet((48, 32, 3), size="tiny", variant=variant)
    before = {variable.path: variable.numpy() for variable in network.weights}
    batch = RNG.random((2, 48, 32, 3), np.float32), RNG.integers(0, 5, (2, 48, 32, 1)).astype(np.uint8)
    Steps(network, build_loss(), 0.1).train(iter([tuple(map(tf.constant, batch))]), 1)
    changed = {path for path, value in before.items() if (value != network_value(network, path)).any()}
    assert all(path.startswith(("decoder", "classes", "encoder_norm")) for path in changed)
    assert {"encoder_norm/gamma", "decoder_0_conv/kernel", "decoder_0_bn/moving_mean", "classes/kernel"} <= changed
    assert any("moving_mean" in path for path in set(before) - changed) == (variant == "hybrid")
    skips = [layer for layer in network.layers if isinstance(layer, keras.layers.Concatenate)]
    assert len(skips) == (3 if variant == "hybrid" else 0)


def network_value(network, path):
    return next(variable.numpy() for variable in network.weights if variable.path == path)


def test_a_trainable_encoder_is_trained_and_drops_out():
    network = build_transunet((32, 32, 3), encoder_trainable=True, size="tiny")
    assert len(network.trainable_variables) > len(build_transunet((32, 32, 3), size="tiny").trainable_variables)
    picture = tf.constant(RNG.random((1, 32, 32, 3), np.float32))
    assert not np.array_equal(network(picture, training=True), network(picture, training=True))
    assert np.array_equal(network(picture, training=False), network(picture, training=False))


def test_any_size_divisible_by_16_is_taken_and_no_other():
    for height, width in ((16, 16), (112, 48)):
        network = build_transunet((height, width, 3), 3, size="tiny")
        assert network(tf.zeros((2, height, width, 3))).shape == (2, height, width, 3)
        assert network.get_layer("posembed_input").pos_embedding.shape == (1, height * width // 256, 64)
    with pytest.raises(MedsegError, match="230 pixels are no multiple of 16.*Take 224 or 240"):
        build_transunet((224, 230, 3))
    with pytest.raises(MedsegError, match="no multiple of 16.*Take 16"):
        build_transunet((8, 16, 3))
    with pytest.raises(MedsegError, match="Choose one of: base, tiny"):
        build_transunet(size="huge")


def test_pictures_are_normalised_as_imagenet_weights_want_it():
    network = build_transunet((16, 16, 3), size="tiny")
    values = network.get_layer("normalised")(tf.constant([0.0, 0.5, 1.0]))
    expected = keras.applications.resnet_v2.preprocess_input(np.array([0.0, 127.5, 255.0]))
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_logits_are_float32_in_any_precision_and_one_seed_gives_one_network():
    device = devices.Device("cpu", "a processor", "bf16")
    options = {"size": "tiny", "resolution": 32, "num_classes": 5}
    one, two, other = (build_model(device, seed=seed, **options).network for seed in (1, 1, 2))
    picture = tf.constant(RNG.random((1, 32, 32, 3), np.float32))
    assert one.get_layer("decoder_0_conv").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    logits = one(picture)
    assert logits.dtype == tf.float32
    assert np.array_equal(logits, two(picture))
    assert not np.array_equal(logits, other(picture))
