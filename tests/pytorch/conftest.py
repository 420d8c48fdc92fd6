"""A tiny dataset of bright discs on noise, and the parameters of a tiny training."""

import cv2
import numpy as np
import pytest
import small_trainings
import torch

from medseg import project
from medseg.datasets import index, polygons


@pytest.fixture(autouse=True)
def one_thread_and_own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    return small_trainings.discs(tmp_path_factory.mktemp("discs") / "data")


@pytest.fixture
def parameters(discs):
    return {
        "data": str(discs.folder), "architecture": "unet", "backbone": "none", "weights": "none",
        "parts": ["residual", "cbam", "aspp", "attention"], "width": 0.125, "resolution": 32, "batch_size": 4,
        "accumulate": 1, "max_epochs": 6, "learning_rate": 0.003, "weight_decay": 0.0001, "loss": "dice",
        "schedule": "plateau", "patience": 20, "augmentation": "warp", "precision": "fp32", "device": "cpu",
        "compile": False, "workers": 0, "seed": 3,
    }  # fmt: skip


BONES = ("disc", "bar", "dot")


def write_bones(folder, counts=(20, 6, 4), size=(72, 96)):
    """Write a prepared dataset of three overlapping classes as polygons, mirrored by side, which a bright mark tells.

    The dot is missing in every third picture; the sex is not known in every fourth.
    """
    rng = np.random.default_rng(0)
    height, width = size
    circle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    info = {"study": "handbone", "name": "shapes", "classes": list(BONES), "label_format": "polygons", "folds": 5}
    with index.writing(folder, **info) as draft:
        for split, count in zip(index.SPLITS, counts, strict=True):
            for number in range(count):
                x, y = rng.uniform(34, 50), rng.uniform(26, 40)
                radius = rng.uniform(13, 18)
                shapes = [
                    (0, np.column_stack([x + radius * np.cos(circle), y + radius * np.sin(circle)])),
                    (1, [(x, y - 6), (x + 34, y - 6), (x + 34, y + 6), (x, y + 6)]),
                ]
                if number % 3:
                    shapes.append((2, np.column_stack([x - 16 + 10 * np.cos(circle), y + 20 + 10 * np.sin(circle)])))
                side = "LR"[number % 2]
                if side == "R":  # as hands are
                    shapes = [(shape, (width, 0) + np.array(corners) * (-1, 1)) for shape, corners in shapes]
                true = polygons.PolygonSet.of(shapes, (width, height))
                masks = polygons.rasterise(true, 3)
                grey = 40 + np.tensordot((60, 90, 120), masks, 1) + rng.normal(0, 8, size)
                grey[2:9, slice(2, 9) if side == "L" else slice(-9, -2)] = 250
                case = f"{split}-{number:02d}"
                draft.write_file(f"images/{case}.png", _png(np.clip(grey, 0, 255).astype(np.uint8)))
                draft.write_file(f"polygons/{case}.json", polygons.dump(true, BONES).encode())
                draft.rows.append(
                    {
                        "case_id": case, "image": f"images/{case}.png", "label": f"polygons/{case}.json",
                        "group": f"{split}-{number // 2}", "split": split, "fold": index.SPLITS.index(split),
                        "test_set": "fold-0" if split == "test" else "", "image_name": f"{case}.png", "side": side,
                        "sex": ("F", "M", "M", "")[number % 4], "width_px": width, "height_px": height,
                    }
                )  # fmt: skip
    return index.load(folder)


@pytest.fixture(scope="session")
def bones(tmp_path_factory):
    return write_bones(tmp_path_factory.mktemp("bones") / "data")


@pytest.fixture
def bone_parameters(bones):
    return {
        "data": str(bones.folder), "architecture": "smp-linknet", "backbone": "tu-test_resnet", "weights": "none",
        "resolution": 64, "fold": 0, "norm": "batch", "upsampling": "bilinear", "auxiliary": [],
        "augmentation": "crop_rotate", "loss": "dice", "batch_size": 4, "accumulate": 1, "learning_rate": 0.003,
        "backbone_learning_rate": 0.0, "weight_decay": 1e-6, "schedule": "cosine", "restart_epochs": 4,
        "restart_factor": 1, "max_epochs": 6, "validation_interval": 1, "patience": 20, "seed": 3,
        "precision": "fp32", "device": "cpu", "workers": 0, "compile": False,
    }  # fmt: skip
