"""A Keras U-Net as an ONNX file gives the probabilities of its run; every backbone's preprocessing is a linear one."""

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.export.command import export
from medseg.keras_legacy.export import affine
from medseg.keras_legacy.inference import load_predictor
from medseg.keras_legacy.unet import BACKBONES, build_model, preprocessing
from medseg.prediction import exported
from medseg.tf_shared import device as devices


def test_an_exported_network_predicts_what_its_run_predicts(tmp_path):
    run = Run(tmp_path / "runs/polyp/a-run")
    parameters = {"backbone": "mobilenet", "resolution": 64, "precision": "auto", "tta": ["flip"]}
    dataset = {"classes": ["polyp"], "fingerprint": "abc", "path": str(tmp_path)}
    run.update(study="polyp", stage="2_train_keras", status="finished", parameters=parameters, dataset=dataset)
    run.checkpoints.mkdir(parents=True)
    build_model("mobilenet", devices.choose("cpu")).network.save_weights(run.checkpoints / "best.h5")
    export(run, tmp_path / "net.onnx")
    pictures = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8) for size in ((70, 53), (64, 64))]
    own, there = load_predictor(run, "cpu")(pictures), exported.load(tmp_path / "net.onnx").predict(pictures)
    for first, second in zip(own, there, strict=True):
        np.testing.assert_allclose(second, first, atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_preprocessing_is_a_matrix_and_an_offset(backbone):
    preprocess = preprocessing(backbone)
    matrix, offset = affine(preprocess)
    pictures = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
    np.testing.assert_allclose(pictures @ matrix + offset, preprocess(pictures), atol=1e-3)


def test_what_is_not_linear_is_refused():
    with pytest.raises(MedsegError, match="no linear one"):
        affine(lambda pictures: pictures.astype(np.float32) ** 2)
