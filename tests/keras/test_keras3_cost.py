"""The network of a run of Keras 3 alone: its multiply-accumulates by hand, its parameters, and its times."""

import keras
import layer_costs
import numpy as np
import pytest
import tensorflow as tf
from small_network import CPU, small_model

from medseg.evaluation import cost
from medseg.experiments.runs import Run
from medseg.keras import checkpoint
from medseg.keras.inference import load_predictor
from medseg.keras.models import build_model
from medseg.tf_shared import macs
from medseg.tf_shared.cost import parameters as count_parameters

CASES = layer_costs.cases(keras, tf)


def of(function, *shape):
    return macs.count(function, tf.TensorSpec(shape, tf.float32))


@pytest.mark.parametrize("name", CASES)
def test_multiply_accumulates_are_those_counted_by_hand(name):
    function, shape, expected = CASES[name]
    assert of(function, *shape) == expected


def test_convolutions_in_groups_count_what_is_in_a_group():
    inputs = keras.layers.Input((10, 10, 8))
    network = keras.Model(inputs, keras.layers.Conv2D(12, 3, padding="same", groups=4)(inputs))
    assert of(lambda seen: network(seen, training=False), 1, 10, 10, 8) == 100 * 12 * 2 * 9


def test_known_networks_cost_what_is_known_of_them():
    # Keras strides in the first convolution of a block, torchvision in the second: 4.09 there, 3.86 here.
    for made, expected in ((keras.applications.ResNet50, 3.86e9), (keras.applications.MobileNetV2, 0.3008e9)):
        network = made(weights=None)
        found = of(lambda seen, network=network: network(seen, training=False), 1, 224, 224, 3)
        assert found == pytest.approx(expected, rel=0.001)


def test_what_is_not_known_before_it_runs_is_not_counted():
    assert of(lambda seen: tf.matmul(seen[seen > 0][None], seen[seen > 0][:, None]), 1, 10) is None


def test_parameters_are_those_learned_whether_frozen_or_not():
    network = small_model().network  # 4 x 3 x 3 x 3 + 4, 8 x 7 x 5 x 5, 2 x 8 (and running statistics), 5 x 8 x 9 + 5
    assert count_parameters(network) == 112 + 1400 + 16 + 365
    assert network.count_params() > count_parameters(network)


def test_the_network_of_a_run_is_measured(tmp_path, parameters):
    names = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum")
    parameters |= {"encoder_trainable": False, "variant": "plain"}
    run = Run(tmp_path / "runs/gastric/a-run")
    classes = [f"phase-{phase}" for phase in range(1, 5)]
    run.update(study="gastric", stage="2_train", status="finished", parameters=parameters, dataset={"classes": classes})
    network = build_model(CPU, **{name: parameters[name] for name in names}).network
    checkpoint.save_frozen(network, run.checkpoints)
    checkpoint.save_weights(network, run.checkpoints / checkpoint.FILES["best_loss"])
    predict = load_predictor(run, "cpu")
    found = cost.measure(run, predict)
    assert found["resolution"] == parameters["resolution"] == 32
    assert found["parameters"] == count_parameters(network)
    assert found["macs"] == of(lambda seen: network(seen, training=False), 1, 32, 32, 3) > 1e6
    assert found["latency"]["ms"] > 0
    assert found["threads"] >= 1
    assert run.record["cost"] == found
    seen = []
    predict.network._logits = lambda pictures: seen.append(pictures.shape) or tf.zeros((len(pictures), 32, 32, 5))
    predict.bare().through(np.zeros((2, 32, 32, 3), np.uint8))
    assert seen == [(2, 32, 32, 3)]
