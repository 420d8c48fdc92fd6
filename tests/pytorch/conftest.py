"""A tiny dataset of bright discs on noise, and the parameters of a tiny training."""

import cv2
import numpy as np
import pytest

from medseg.datasets import index


def _png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_discs(folder, counts=(24, 6, 6), size=(40, 48)):
    """Write a prepared dataset; ``counts`` of train, validation and test samples."""
    rng = np.random.default_rng(0)
    with index.writing(folder, study="polyp", name="discs", classes=["polyp"], protocol="discs") as draft:
        for split, count in zip(index.SPLITS, counts, strict=True):
            for number in range(count):
                mask = np.zeros(size, np.uint8)
                centre = tuple(int(v) for v in rng.integers(12, 28, 2))
                cv2.circle(mask, centre, int(rng.integers(5, 11)), 255, -1)
                noise = rng.normal(90, 25, (*size, 3)) + mask[..., None] * 0.4
                case = f"{split}/{number}"
                draft.write_file(f"images/{case}.png", _png(np.clip(noise, 0, 255).astype(np.uint8)))
                draft.write_file(f"labels/{case}.png", _png(mask))
                files = {"image": f"images/{case}.png", "label": f"labels/{case}.png"}
                group = {"group": f"{split}-{number // 2}", "split": split, "fold": -1}
                draft.rows.append({"case_id": case, **files, **group, "test_set": "Discs" if split == "test" else ""})
    return index.load(folder)


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs") / "data")


@pytest.fixture
def parameters(discs):
    return {
        "data": str(discs.folder), "architecture": "unet", "backbone": "none", "weights": "none",
        "parts": ["residual", "cbam", "aspp", "attention"], "width": 0.125, "resolution": 32, "batch_size": 4,
        "accumulate": 1, "max_epochs": 6, "learning_rate": 0.003, "weight_decay": 0.0001, "loss": "dice",
        "schedule": "plateau", "patience": 20, "augmentation": "warp", "precision": "fp32", "device": "cpu",
        "compile": False, "workers": 0, "seed": 3,
    }  # fmt: skip
