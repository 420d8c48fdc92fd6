"""A tiny dataset of coloured discs on noise, the colour saying the phase, and the parameters of a tiny training."""

import sys

import cv2
import numpy as np
import pytest
import small_trainings

import medseg.keras  # noqa: F401  opens the room that tf_shared belongs to
from medseg import project
from medseg.tf_shared import tf

_ALONE = "must not meet Keras 3 in one process: run 'pytest tests/keras' by itself."
assert "torch" not in sys.modules, f"PyTorch {_ALONE}"
assert "medseg.keras_legacy" not in sys.modules, f"The old Keras {_ALONE}"
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
# Two of them, so that a batch can be shared without a GPU; all else computes on the first.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

PHASE_COLOURS = [(210, 60, 60), (60, 200, 60), (60, 60, 220), (220, 220, 60)]


@pytest.fixture(scope="session", autouse=True)
def other_frameworks_stay_out():
    yield
    assert not {"torch", "tf_keras", "medseg.keras_legacy"} & set(sys.modules)


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))


def _draw(rng, number):
    phase, label = number % 5, np.zeros((40, 48), np.uint8)
    picture = rng.normal(90, 15, (40, 48, 3))
    if phase:
        cv2.circle(label, tuple(int(v) for v in rng.integers(12, 28, 2)), int(rng.integers(7, 12)), phase, -1)
        picture[label > 0] = PHASE_COLOURS[phase - 1] + rng.normal(0, 15, (int((label > 0).sum()), 3))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return picture[..., ::-1], label, lambda split: {"phase": phase, "test_set": "test" if split == "test" else ""}


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    """23 samples to train, 5 to validate, 5 to test, each 48 x 40 pixels; every fifth shows no lesion."""
    classes = [f"phase-{phase}" for phase in range(1, 5)]
    counts = {"train": 23, "validation": 5, "test": 5}
    folder = tmp_path_factory.mktemp("discs") / "data"
    return small_trainings.dataset(folder, counts, _draw, study="gastric", name="discs", classes=classes)


@pytest.fixture
def parameters(discs):
    return {
        "data": str(discs.folder), "architecture": "transunet", "size": "tiny", "variant": "hybrid",
        "encoder_trainable": True, "resnet_weights": "none", "vit_weights": "none", "norm_momentum": 0.9,
        "resolution": 32, "batch_size": 4, "accumulate": 1, "max_epochs": 2, "learning_rate": 0.05, "warmup": 1,
        "restart_epochs": 4, "restart_factor": 1, "cross_entropy_weight": 0.5, "dice_weight": 0.5, "patience": 0,
        "augmentation": "published", "tta": [], "thresholds": "fixed", "postprocess": "none", "crf": False,
        "precision": "fp32", "device": "cpu", "devices": 1, "compile": False, "workers": 0, "seed": 3,
    }  # fmt: skip


@pytest.fixture(scope="session")
def published():
    """The published network, with random weights; built once, for it takes seconds and half a gigabyte."""
    from medseg.keras.models import build_model
    from medseg.tf_shared.device import Device

    return build_model(Device("cpu", "a processor", "fp32"))
