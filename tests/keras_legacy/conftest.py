"""A tiny dataset of bright discs on noise, and the parameters of a tiny training."""

import sys

import pytest
import small_trainings

import medseg.keras_legacy  # noqa: F401  opens the room that tf_shared belongs to
from medseg import project
from medseg.tf_shared import tf

assert "torch" not in sys.modules, (
    "PyTorch and TensorFlow must not meet in one process: run 'pytest tests/keras_legacy' by itself."
)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


@pytest.fixture(scope="session", autouse=True)
def torch_stays_out():
    yield
    assert "torch" not in sys.modules


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    return small_trainings.discs(tmp_path_factory.mktemp("discs") / "data")


@pytest.fixture
def parameters(discs):
    return {
        "data": str(discs.folder), "architecture": "unet", "backbone": "mobilenetv2", "weights": "none",
        "norm_momentum": 0.9, "resolution": 32, "batch_size": 5, "accumulate": 1, "max_epochs": 3,
        "learning_rate": 0.01, "loss": "bce+dice", "schedule": "plateau", "patience": 20, "augmentation": "warp",
        "feeding": "fit", "precision": "fp32", "device": "cpu", "compile": False, "tta": [], "thresholds": "fixed",
        "postprocess": "none", "crf": False, "workers": 0, "seed": 3,
    }  # fmt: skip
