"""A training is killed while the processes that load its pictures are still importing: none of them stays."""

import time
from pathlib import Path

import psutil
import pytest
import small_trainings

from medseg import project

pytestmark = pytest.mark.faults

TRAINING = """
import torch_trainings
torch_trainings.trained(parameters, dataset)
"""
PARAMETERS = {
    "architecture": "unet", "backbone": "none", "weights": "none", "parts": [], "width": 0.125, "resolution": 32,
    "batch_size": 8, "accumulate": 1, "max_epochs": 200, "learning_rate": 0.003, "weight_decay": 0.0001,
    "loss": "dice", "schedule": "plateau", "patience": 200, "augmentation": "warp", "precision": "fp32",
    "device": "cpu", "compile": False, "workers": 2, "seed": 3,
}  # fmt: skip


def workers_of(training):
    """Its processes that load pictures, the first one first."""
    found = [child for child in training.children() if is_alive(child) and "spawn_main" in " ".join(child.cmdline())]
    return sorted(found, key=lambda child: child.pid)


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def killed_while_importing(parameters):
    """The processes that load pictures of a training that was killed as soon as there were two."""
    folder = Path(small_trainings.__file__).parent
    process = small_trainings.start(TRAINING, ("polyp", "2_train_torch"), parameters, folder=folder)
    training = psutil.Process(process.pid)
    while len(workers := workers_of(training)) < 2:  # the first has been told everything when there is a second
        assert process.poll() is None, "the training failed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    return workers


def test_no_worker_outlives_a_training_that_is_killed_while_they_import(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    discs = small_trainings.discs(tmp_path / "discs")
    parameters = {**PARAMETERS, "data": str(discs.folder)}
    # On a fast machine the first one has imported all, and goes with its parent, before there is a second: try again.
    for _ in range(8):
        workers = killed_while_importing(parameters)
        if is_alive(workers[0]):
            break
    assert is_alive(workers[0])  # else it would mean nothing that it is not, below
    deadline = time.monotonic() + 60  # what is left imports for some seconds, and would then stay for ever
    while alive := [worker for worker in workers if is_alive(worker)]:
        if time.monotonic() > deadline:
            for worker in alive:
                worker.kill()
            pytest.fail(f"{len(alive)} processes outlived the training")
        time.sleep(0.1)
