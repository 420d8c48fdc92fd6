"""The network of a run of Keras 2 alone: its multiply-accumulates by hand, its parameters, and its times."""

import layer_costs
import pytest
import tensorflow as tf
import tf_keras

from medseg.evaluation import cost
from medseg.experiments.runs import Run
from medseg.keras_legacy.inference import load_predictor
from medseg.keras_legacy.unet import build_model
from medseg.tf_shared import device as devices
from medseg.tf_shared import macs
from medseg.tf_shared.cost import parameters as count_parameters

CASES = layer_costs.cases(tf_keras, tf)


def of(function, *shape):
    return macs.count(function, tf.TensorSpec(shape, tf.float32))


@pytest.mark.parametrize("name", CASES)
def test_multiply_accumulates_are_those_counted_by_hand(name):
    function, shape, expected = CASES[name]
    assert of(function, *shape) == expected


def test_a_known_network_costs_what_is_known_of_it():
    network = tf_keras.applications.MobileNetV2(weights=None)
    assert of(lambda seen: network(seen, training=False), 1, 224, 224, 3) == pytest.approx(0.3008e9, rel=0.001)


def test_the_network_of_a_run_is_measured(tmp_path):
    run = Run(tmp_path / "runs/polyp/a-run")
    parameters = {"backbone": "mobilenet", "resolution": 64, "precision": "auto"}
    run.update(study="polyp", stage="2_train_keras", status="finished", parameters=parameters)
    network = build_model("mobilenet", devices.choose("cpu")).network
    run.checkpoints.mkdir(parents=True)
    network.save_weights(run.checkpoints / "best.h5")
    found = cost.measure(run, load_predictor(run, "cpu"))
    assert found["resolution"] == 64
    running = 2 * sum(layer.gamma.shape[0] for layer in network.layers if "bn" in layer.name)
    assert found["parameters"] == count_parameters(network) == network.count_params() - running
    assert found["macs"] == of(lambda seen: network(seen, training=False), 1, 64, 64, 3) > 1e8
    assert found["latency"]["ms"] > 0
    assert found["device"]["kind"] == "cpu"
    assert run.record["cost"] == found
