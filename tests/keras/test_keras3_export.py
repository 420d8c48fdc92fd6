"""A TransUNet as a file gives the probabilities of its run."""

import numpy as np
import pytest
from small_network import CPU

from medseg.evaluation.common import load_predictor
from medseg.experiments import runs
from medseg.export.command import export
from medseg.keras import checkpoint
from medseg.keras.models import build_model
from medseg.prediction import exported

NAMES = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum")


@pytest.mark.parametrize("file", ["net.onnx", "net.keras"])
@pytest.mark.parametrize("variant", ["hybrid", "plain"])
def test_an_exported_network_predicts_what_its_run_predicts(variant, file, tmp_path, parameters):
    run = runs.Run(tmp_path / "runs/gastric/a-run")
    parameters |= {"variant": variant, "tta": ["flip"]}
    dataset = {"classes": [f"phase-{phase}" for phase in range(1, 5)], "fingerprint": "abc", "path": str(tmp_path)}
    run.update(study="gastric", stage="2_train", status="finished", parameters=parameters, dataset=dataset)
    network = build_model(CPU, **{name: parameters[name] for name in NAMES}, seed=1).network
    checkpoint.save_frozen(network, run.checkpoints)
    checkpoint.save_weights(network, run.checkpoints / checkpoint.FILES["best_loss"])
    said = export(run, tmp_path / file)
    assert "2 pictures of noise" in said[1]
    pictures = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8) for size in ((40, 53), (32, 32))]
    own, there = load_predictor(run, "cpu")(pictures), exported.load(tmp_path / file).predict(pictures)
    for first, second in zip(own, there, strict=True):
        assert first.shape == second.shape
        np.testing.assert_allclose(second, first, atol=1e-5)
