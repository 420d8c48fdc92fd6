"""A Keras U-Net as a file gives the probabilities of its run; every backbone's preprocessing is a linear one."""

import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.export.command import export
from medseg.keras_legacy.export import affine
from medseg.keras_legacy.inference import load_predictor
from medseg.keras_legacy.unet import BACKBONES, build_model, preprocessing
from medseg.prediction import exported
from medseg.tf_shared import device as devices


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "runs/polyp/a-run")
    parameters = {"backbone": "mobilenet", "resolution": 64, "precision": "auto", "tta": ["flip"]}
    dataset = {"classes": ["polyp"], "fingerprint": "abc", "path": str(tmp_path)}
    run.update(study="polyp", stage="2_train_keras", status="finished", parameters=parameters, dataset=dataset)
    run.checkpoints.mkdir(parents=True)
    build_model("mobilenet", devices.choose("cpu")).network.save_weights(run.checkpoints / "best.h5")
    return run


@pytest.mark.parametrize("file", ["net.onnx", "net.keras"])
def test_an_exported_network_predicts_what_its_run_predicts(file, run, tmp_path):
    export(run, tmp_path / file)
    pictures = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8) for size in ((70, 53), (64, 64))]
    own, there = load_predictor(run, "cpu")(pictures), exported.load(tmp_path / file).predict(pictures)
    for first, second in zip(own, there, strict=True):
        np.testing.assert_allclose(second, first, atol=1e-5)


def test_a_model_takes_any_size_and_says_what_it_is(run, tmp_path):
    export(run, tmp_path / "net.keras", "keras")
    model = tf_keras.models.load_model(tmp_path / "net.keras")
    found = model(np.zeros((3, 96, 32, 3), np.uint8))
    assert found["logits"].shape == (3, 96, 32, 1)
    np.testing.assert_allclose(found["probabilities"], tf.sigmoid(found["logits"]), atol=1e-6)
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        facts = json.loads(archive.read("medseg.json"))
    assert (facts["run"], facts["classes"], facts["keras"]) == (run.id, ["polyp"], "2")


def test_what_is_no_model_of_ours_is_refused(run, tmp_path):
    with pytest.raises(MedsegError, match=r"trained in Keras and cannot be written as torch; take onnx or keras"):
        export(run, tmp_path / "net.pt2")
    for content, words in ((b"text", "cannot be read as a model of Keras"), (None, "does not say what it predicts")):
        path = tmp_path / "other.keras"
        if content:
            path.write_bytes(content)
        else:
            tf_keras.Sequential([tf_keras.layers.Input((8, 8, 3))]).save(path)
        with pytest.raises(MedsegError, match=words):
            exported.load(path)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_preprocessing_is_a_matrix_and_an_offset(backbone):
    preprocess = preprocessing(backbone)
    matrix, offset = affine(preprocess)
    pictures = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
    np.testing.assert_allclose(pictures @ matrix + offset, preprocess(pictures), atol=1e-3)


def test_what_is_not_linear_is_refused():
    with pytest.raises(MedsegError, match="no linear one"):
        affine(lambda pictures: pictures.astype(np.float32) ** 2)
