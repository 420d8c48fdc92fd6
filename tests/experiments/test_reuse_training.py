"""A run that differs only in inference takes over another run's training."""

import pandas as pd
import pytest

from medseg.experiments import reuse_training as adoption
from medseg.experiments.runs import Run, prepare_run, training

PARAMETERS = {"architecture": "unet", "learning_rate": 0.1, "window": 0, "postprocess": "none", "seed": 1}


@pytest.fixture
def start(dataset, monkeypatch, tmp_path):
    """Begin the training of a run with some parameters changed."""
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path / "runs"))

    def begin(**changed) -> tuple[Run, dict]:
        parameters = {**PARAMETERS, **changed}
        run = prepare_run("handbone", "2_train", parameters, dataset)
        with training(run, "handbone", "2_train", parameters, dataset):
            pass
        return run, parameters

    return begin


@pytest.fixture
def finished(start):
    run, _ = start()
    run.checkpoints.mkdir()
    (run.checkpoints / "best.ckpt").write_bytes(b"weights")
    (run.folder / "validation").mkdir()
    (run.folder / "validation" / "epoch-0001.jpg").write_bytes(b"picture")
    run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
    run.finish(**{key: {} for key in ("device", "model", "batch", "durations", "peak_memory_mb")}, selection={"x": 1})
    return run


def test_inference_alone_is_not_trained_again(start, finished):
    run, parameters = start(window=512, postprocess="both")
    twin = adoption.trained_twin(run, parameters)
    assert twin.id == finished.id
    history = adoption.adopt(run, twin)
    assert list(history["loss"]) == [0.5]
    assert (run.checkpoints / "best.ckpt").read_bytes() == b"weights"
    assert (run.folder / "validation" / "epoch-0001.jpg").read_bytes() == b"picture"
    assert run.status == "finished"
    assert run.record["training_of"] == finished.id
    assert run.record["selection"] == {"x": 1}
    assert run.record["parameters"]["window"] == 512


@pytest.mark.parametrize("changed", [{"learning_rate": 0.2}, {"seed": 2, "window": 512}])
def test_another_training_is_not_taken(start, finished, changed):
    assert adoption.trained_twin(*start(**changed)) is None


def test_an_unfinished_training_is_not_taken(start):
    start()
    assert adoption.trained_twin(*start(window=512)) is None


def test_the_origin_is_named_even_through_two_adoptions(start, finished):
    second, parameters = start(window=256)
    adoption.adopt(second, adoption.trained_twin(second, parameters))
    third, parameters = start(window=512)
    adoption.adopt(third, second)
    assert third.record["training_of"] == finished.id
