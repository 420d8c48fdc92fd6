"""One path scores the runs of every framework: the same probabilities give the same rows."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
from small_trainings import check_lower_precision
from tiny_network import tiny_model

from medseg.errors import MedsegError
from medseg.evaluation.common import load_predictor
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.experiments import runs
from medseg.keras_legacy import callbacks, inference
from medseg.keras_legacy.unet import build_model
from medseg.tf_shared import device as devices


@pytest.fixture
def keras_run(parameters, discs, monkeypatch):
    monkeypatch.setattr(inference, "build_model", lambda *_: tiny_model(1))
    run = _finished("2_train_keras", parameters, discs)
    callbacks.save_best(tiny_model(7).network, run.checkpoints / "best.h5")
    return run


def _finished(stage, parameters, dataset):
    run = runs.prepare_run("polyp", stage, parameters, dataset)
    with runs.training(run, "polyp", stage, parameters, dataset):
        run.finish()
    return run


def test_weights_that_are_kept_in_half_the_precision_predict_nearly_the_same(parameters, discs):
    network = build_model("mobilenet", devices.choose("cpu")).network
    run = _finished("2_train_keras", parameters | {"backbone": "mobilenet"}, discs)
    callbacks.save_best(network, run.checkpoints / "best.h5")
    pictures = [np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)]
    check_lower_precision(
        run.checkpoints / "best.h5", callbacks.lower_precision, lambda: load_predictor(run, "cpu")(pictures)
    )


def test_a_keras_and_a_pytorch_model_with_the_same_probabilities_get_the_same_rows(
    keras_run, parameters, discs, monkeypatch
):
    computed = {}

    def remembering(predict):
        def call(pictures):
            for picture, probability in zip(pictures, maps := predict(pictures), strict=True):
                computed[picture.tobytes()] = probability
            return maps

        return call

    with runs.evaluating(keras_run):
        segment = segmenter(keras_run, remembering(load_predictor(keras_run, "cpu")), discs)
        by_keras = evaluate(keras_run, segment, discs, batch_size=4)

    # PyTorch may not enter this process; a module in its place gives the probabilities that Keras computed.
    stand_in = types.ModuleType("medseg.pytorch.inference")
    stand_in.load_predictor = lambda run, device: lambda pictures: [computed[p.tobytes()] for p in pictures]
    monkeypatch.setitem(sys.modules, "medseg.pytorch.inference", stand_in)
    torch_run = _finished("2_train_torch", parameters, discs)
    with runs.evaluating(torch_run):
        by_torch = evaluate(
            torch_run, segmenter(torch_run, load_predictor(torch_run, "cpu"), discs), discs, batch_size=6
        )

    pd.testing.assert_frame_equal(by_keras, by_torch)
    assert (keras_run.folder / "cases.csv").read_bytes() == (torch_run.folder / "cases.csv").read_bytes()
    assert by_keras["fp"].sum() > 0
    assert keras_run.evaluated
    assert torch_run.evaluated
    assert keras_run.id != torch_run.id


def test_a_mirrored_copy_is_averaged_with_the_picture_as_it_is(keras_run, parameters):
    picture = np.random.default_rng(0).integers(0, 256, (40, 53, 3), dtype=np.uint8)
    alone = inference.load_predictor(keras_run, "cpu")
    expected = (alone([picture])[0] + alone([picture[:, ::-1]])[0][:, ::-1]) / 2
    keras_run.update(parameters={**parameters, "tta": ["flip"]})
    np.testing.assert_allclose(inference.load_predictor(keras_run, "cpu")([picture])[0], expected, atol=1e-6)
    assert np.abs(expected - alone([picture])[0]).max() > 1e-4


def test_an_unknown_notebook_is_named(tmp_path):
    run = runs.Run(tmp_path / "run")
    run.update(study="polyp", stage="2_train_jax")
    with pytest.raises(MedsegError, match="polyp has no training notebook '2_train_jax'"):
        load_predictor(run)
