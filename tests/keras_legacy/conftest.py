"""A tiny dataset of bright discs on noise, and the parameters of a tiny training."""

import sys

import cv2
import numpy as np
import pytest

import medseg.keras_legacy  # noqa: F401  opens the room that tf_shared belongs to
from medseg import project
from medseg.datasets import index
from medseg.tf_shared.room import tf

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


def _png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    """24 samples to train, 6 to validate, 6 to test, each 48 x 40 pixels."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("discs") / "data"
    splits = [split for split, count in (("train", 24), ("validation", 6), ("test", 6)) for _ in range(count)]
    with index.writing(folder, study="polyp", name="discs", classes=["polyp"], protocol="discs") as draft:
        for number, split in enumerate(splits):
            mask = np.zeros((40, 48), np.uint8)
            cv2.circle(mask, tuple(int(v) for v in rng.integers(12, 28, 2)), int(rng.integers(5, 11)), 255, -1)
            picture = np.clip(rng.normal(90, 25, (40, 48, 3)) + mask[..., None] * 0.4, 0, 255).astype(np.uint8)
            row = {"case_id": f"{number:02d}", "image": f"images/{number}.png", "label": f"labels/{number}.png"}
            draft.write_file(row["image"], _png(picture))
            draft.write_file(row["label"], _png(mask))
            row |= {"group": f"{split}-{number}", "split": split, "fold": -1}
            draft.rows.append({**row, "test_set": "Discs" if split == "test" else ""})
    return index.load(folder)


@pytest.fixture
def parameters(discs):
    return {
        "data": str(discs.folder), "architecture": "unet", "backbone": "mobilenetv2", "weights": "none",
        "norm_momentum": 0.9, "resolution": 32, "batch_size": 5, "accumulate": 1, "max_epochs": 3,
        "learning_rate": 0.01, "loss": "bce+dice", "schedule": "plateau", "patience": 20, "augmentation": "warp",
        "feeding": "fit", "precision": "fp32", "device": "cpu", "compile": False, "tta": [], "thresholds": "fixed",
        "postprocess": "none", "crf": False, "workers": 0, "seed": 3,
    }  # fmt: skip
