"""Shared memory too small for the batches of worker processes, as in a container with the 64 MB of its default.

The file system is a real one, in a namespace of the process; the batches are larger than it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import small_trainings

from medseg import project
from medseg.experiments import runs

pytestmark = pytest.mark.faults

TORCH = """
import torch_trainings
torch_trainings.trained(parameters, dataset)
"""
KERAS = """
from small_network import small_model
from medseg.keras import training
with runs.training(run, *stage, parameters, dataset):
    training.train(run, small_model(seed=parameters["seed"]), dataset, parameters)
"""
SMALL = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount -t tmpfs -o size=512k tmpfs /dev/shm && exec "$@"'  # a batch below is 0.9 MB
SUPPORT = Path(small_trainings.__file__).parent


def train(script, stage, parameters, folder, small):
    arguments = [sys.executable, "-c", small_trainings.PRELUDE + script, str(folder)]
    arguments += [json.dumps(stage), json.dumps(parameters)]
    command = [*SMALL, MOUNT, "sh", *arguments] if small else arguments
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(autouse=True)
def can_mount(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    if not shutil.which("unshare") or subprocess.run([*SMALL, MOUNT, "sh", "true"], capture_output=True).returncode:
        pytest.skip("this system lets no user mount a file system of their own")


def history(stage, parameters, dataset):
    return runs.prepare_run(*stage, parameters, dataset).history().drop(columns="seconds")


def test_pytorch_names_both_ways_out_and_workers_0_is_one(tmp_path, monkeypatch):
    discs, stage = small_trainings.discs(tmp_path / "discs"), ("polyp", "2_train_torch")
    parameters = {
        "data": str(discs.folder), "architecture": "unet", "backbone": "none", "weights": "none", "parts": [],
        "width": 0.125, "resolution": 96, "batch_size": 24, "accumulate": 1, "max_epochs": 2, "learning_rate": 0.003,
        "weight_decay": 0.0001, "loss": "dice", "schedule": "plateau", "patience": 20, "augmentation": "warp",
        "precision": "fp32", "device": "cpu", "compile": False, "workers": 2, "seed": 3,
    }  # fmt: skip
    failed = train(TORCH, stage, parameters, SUPPORT, small=True)
    assert failed.returncode != 0
    assert "Set workers to fewer or to 0, or raise it: docker run --shm-size" in failed.stderr
    run = runs.prepare_run(*stage, parameters, discs)
    assert run.status == "failed"
    assert "--shm-size" in run.record["error"]
    done = train(TORCH, stage, parameters | {"workers": 0}, SUPPORT, small=True)
    assert done.returncode == 0, done.stderr
    assert run.status == "finished"
    found = history(stage, parameters, discs)
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
    spacious = train(TORCH, stage, parameters, SUPPORT, small=False)
    assert spacious.returncode == 0, spacious.stderr
    pd.testing.assert_frame_equal(found, history(stage, parameters, discs))


def test_keras_loads_in_threads_which_need_none(tmp_path, monkeypatch):
    stage, counts = ("gastric", "2_train"), {"train": 24, "validation": 6, "test": 6}

    def draw(rng, number):
        label = np.zeros((96, 96), np.uint8)
        cv2.circle(label, tuple(int(v) for v in rng.integers(30, 60, 2)), 20, 1 + number % 4, -1)
        picture = np.clip(rng.normal(90, 15, (96, 96, 3)) + 30 * label[..., None], 0, 255).astype(np.uint8)
        return picture, label, lambda split: {"phase": 1 + number % 4, "test_set": "test" if split == "test" else ""}

    classes = [f"phase-{phase}" for phase in range(1, 5)]
    discs = small_trainings.dataset(tmp_path / "discs", counts, draw, study="gastric", name="discs", classes=classes)
    parameters = {
        "data": str(discs.folder), "architecture": "transunet", "resolution": 32, "batch_size": 24, "accumulate": 1,
        "max_epochs": 2, "learning_rate": 0.05, "warmup": 1, "restart_epochs": 4, "restart_factor": 1,
        "cross_entropy_weight": 0.5, "dice_weight": 0.5, "patience": 0, "augmentation": "published",
        "precision": "fp32", "device": "cpu", "devices": 1, "compile": False, "workers": 2, "seed": 3,
    }  # fmt: skip
    folder = SUPPORT.parent / "keras"
    done = train(KERAS, stage, parameters, folder, small=True)
    assert done.returncode == 0, done.stderr
    found = history(stage, parameters, discs)
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
    spacious = train(KERAS, stage, parameters | {"workers": 0}, folder, small=False)
    assert spacious.returncode == 0, spacious.stderr
    pd.testing.assert_frame_equal(found, history(stage, parameters, discs), rtol=1e-4)
