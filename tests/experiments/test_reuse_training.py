"""A run that differs only in inference takes over another run's training."""

import zipfile
from dataclasses import replace

import h5py
import pandas as pd
import pytest

from medseg.experiments import reuse_training
from medseg.experiments.runs import Run, prepare_run, training

PARAMETERS = {"architecture": "unet", "learning_rate": 0.1, "window": 0, "postprocess": "none", "seed": 1}


def checkpoint(path):
    """Write a file that is whole, as a framework would."""
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".h5":
        h5py.File(path, "w").close()
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights", b"weights")


@pytest.fixture
def start(dataset, monkeypatch, tmp_path):
    """Begin the training of a run with some parameters changed."""
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path / "runs"))

    def begin(study="handbone", stage="2_train", **changed) -> tuple[Run, dict]:
        parameters = {**PARAMETERS, **changed}
        of_study = replace(dataset, info={**dataset.info, "study": study})
        run = prepare_run(study, stage, parameters, of_study)
        with training(run, study, stage, parameters, of_study):
            pass
        return run, parameters

    return begin


@pytest.fixture
def finished(start):
    run, _ = start()
    checkpoint(run.checkpoints / "best.ckpt")
    (run.folder / "validation").mkdir()
    (run.folder / "validation" / "epoch-0001.jpg").write_bytes(b"picture")
    run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
    run.finish(**{key: {} for key in ("device", "model", "batch", "durations", "peak_memory_mb")}, selection={"x": 1})
    return run


def test_inference_alone_is_not_trained_again(start, finished):
    run, parameters = start(window=512, postprocess="both")
    found = reuse_training.find_finished_training(run, parameters)
    assert found.id == finished.id
    history = reuse_training.take_over(run, found)
    assert list(history["loss"]) == [0.5]
    assert (run.checkpoints / "best.ckpt").read_bytes() == (finished.checkpoints / "best.ckpt").read_bytes()
    assert (run.folder / "validation" / "epoch-0001.jpg").read_bytes() == b"picture"
    assert run.status == "finished"
    assert run.record["training_of"] == finished.id
    assert run.record["selection"] == {"x": 1}
    assert run.record["parameters"]["window"] == 512


@pytest.mark.parametrize("changed", [{"learning_rate": 0.2}, {"seed": 2, "window": 512}])
def test_another_training_is_not_taken(start, finished, changed):
    assert reuse_training.find_finished_training(*start(**changed)) is None


def test_a_training_whose_checkpoint_was_cut_is_not_taken(start, finished):
    path = finished.checkpoints / "best.ckpt"
    path.write_bytes(path.read_bytes()[:-9])
    assert reuse_training.find_finished_training(*start(window=512)) is None


def test_an_unfinished_training_is_not_taken(start):
    start()
    assert reuse_training.find_finished_training(*start(window=512)) is None


def test_the_origin_is_named_even_through_two_runs(start, finished):
    second, parameters = start(window=256)
    reuse_training.take_over(second, reuse_training.find_finished_training(second, parameters))
    third, parameters = start(window=512)
    reuse_training.take_over(third, second)
    assert third.record["training_of"] == finished.id


@pytest.mark.parametrize(
    ("study", "stage", "files"),
    [
        ("polyp", "2_train_torch", ["checkpoints/best.ckpt", "checkpoints/last.ckpt"]),
        ("polyp", "2_train_keras", ["checkpoints/best.h5", "checkpoints/last.npz", "validation/epoch-001.jpg"]),
        ("handbone", "2_train", ["checkpoints/best.ckpt", "checkpoints/epoch=1.ckpt"]),
        ("gastric", "2_train", [f"checkpoints/{n}.npz" for n in ("best_iou", "best_loss", "frozen", "last")]),
    ],
)
def test_every_file_that_a_training_leaves_is_taken_over(start, study, stage, files):
    trained, _ = start(study, stage)
    for name in files:
        checkpoint(trained.folder / name)
    trained.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
    trained.finish(device={"name": "x"}, durations={"train_seconds": 7, "evaluate_seconds": 3})
    run, parameters = start(study, stage, thresholds="fitted", crf=True)
    reuse_training.take_over(run, reuse_training.find_finished_training(run, parameters))
    assert all((run.folder / name).read_bytes() == (trained.folder / name).read_bytes() for name in files)
    assert run.record["durations"] == {"train_seconds": 7}
    assert not run.evaluated
    other = "2_train_keras" if stage == "2_train_torch" else "2_train_torch"
    assert reuse_training.find_finished_training(*start(study, other, thresholds="fitted")) is None


def test_a_training_of_before_there_were_budgets_is_one_without_a_limit(start, finished):
    found = reuse_training.find_finished_training(*start(window=512, max_minutes=0.0, max_steps=0))
    assert found.id == finished.id
    assert reuse_training.find_finished_training(*start(window=512, max_minutes=0.0, max_steps=9)) is None
