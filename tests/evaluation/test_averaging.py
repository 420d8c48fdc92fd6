"""Several runs as one: mean probabilities, and of their own data only the fold that did not see a picture."""

import re
import shutil

import cv2
import numpy as np
import pytest
from predicting import codes, predict

from medseg.errors import MedsegError
from medseg.evaluation.averaging import Average, all_folds


def constant(*values):
    """A predictor of overlapping classes: everywhere the same probability of each."""
    return lambda picture: np.ones((len(values), *picture.shape), np.float32) * np.array(values)[:, None, None]


@pytest.fixture
def folds(run_of, polygon_dataset):
    """Three runs over the folds of the data."""
    return [run_of(polygon_dataset, fold=fold) for fold in range(3)]


@pytest.fixture
def new(tmp_path):
    """A folder with a picture that is nobody's."""
    (tmp_path / "new").mkdir()
    cv2.imwrite(str(tmp_path / "new" / "new.png"), np.full((8, 10), 7, np.uint8))
    return tmp_path / "new"


def test_a_new_picture_has_the_mean_of_all_probabilities(folds, new, tmp_path):
    """Of b two of three networks are sure enough alone, and of c one; the means are 0.4 and 0.6."""
    predictors = [constant(0.9, 0.55, 0.45), constant(0.9, 0.55, 0.45), constant(0.0, 0.1, 0.9)]
    said = predict(folds, predictors, new, tmp_path / "out")
    assert said.endswith("1 pictures predicted by the mean of 3 networks")
    assert codes(tmp_path / "out") == {
        ("new.png", "a"): "1 80", ("new.png", "b"): "", ("new.png", "c"): "1 80",
    }  # fmt: skip


def test_classes_of_a_map_are_averaged_too(run_of, phase_dataset, phases):
    runs = [run_of(phase_dataset, seed=seed) for seed in (1, 2)]
    picture = cv2.imread(str(phase_dataset.folder / "images" / "P4-0.png"))[..., ::-1]
    alone, doubtful = Average(runs[:1], [phases])(picture, "x"), [np.full((5, 48, 64), 0.2, np.float32)]
    both = Average(runs, [phases, lambda pictures: doubtful])(picture, "x")
    assert set(np.unique(alone.mask)) > {0}
    assert np.array_equal(alone.mask, Average(runs, [phases, phases])(picture, "x").mask)
    background = alone.mask == 0
    assert both.probability[background].mean() == pytest.approx((4 * 0.02 + 0.8) / 2, abs=1e-4)


def test_a_picture_of_the_data_is_predicted_by_the_fold_alone_that_held_it_out(
    folds, new, polygon_dataset, tmp_path
):  # fmt: skip
    """Patient 1 is in fold 1: its network alone finds b, and no name gives the picture away."""
    row = polygon_dataset.index.query("fold == 1").iloc[0]
    shutil.copy(polygon_dataset.path(row["image"]), new / "renamed.png")
    predictors = [constant(1, 0, 1), constant(0, 1, 0), constant(1, 0, 1)]
    said = predict(folds, predictors, new, tmp_path / "out")
    found = codes(tmp_path / "out")
    assert {name: bool(found["renamed.png", name]) for name in "abc"} == {"a": False, "b": True, "c": False}
    assert {name: bool(found["new.png", name]) for name in "abc"} == {"a": True, "b": False, "c": True}
    assert "1 of them belong to the data that the networks were trained on (renamed)" in said
    assert "only by the network whose fold held it out" in said


def test_a_picture_that_every_given_fold_has_seen_is_refused(folds, new, polygon_dataset, tmp_path):
    row = polygon_dataset.index.query("fold == 1").iloc[0]
    shutil.copy(polygon_dataset.path(row["image"]), new / "seen.png")
    runs, predictors = [folds[0], folds[2]], [constant(1, 1, 1)] * 2
    said = predict(runs, predictors, new, tmp_path / "out")
    assert "1 pictures predicted by the mean of 2 networks, 1 rejected" in said
    assert {name for name, _ in codes(tmp_path / "out")} == {"new.png"}
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert re.search(r"seen.png,.*seen is a picture of the data .* of fold 1, and no run", rejected)


def test_where_the_data_is_gone_it_is_said_that_nothing_was_checked(folds, new, polygon_dataset, tmp_path):
    shutil.rmtree(polygon_dataset.folder)
    said = predict(folds, [constant(1, 1, 1)] * 3, new, tmp_path / "out")
    assert "not checked whether they are of the data" in said


def test_the_folds_of_a_run_are_those_that_differ_in_nothing_else(run_of, polygon_dataset):
    folds = [run_of(polygon_dataset, fold=fold, loss="dice") for fold in (2, 0, 1)]
    run_of(polygon_dataset, fold=0, loss="bce")
    run_of(polygon_dataset, fold=0, loss="dice", seed=2)
    folds[2].update(status="running")
    assert [run.id for run in all_folds(folds[0])] == [folds[1].id, folds[0].id]
    lone = run_of(polygon_dataset, fold=0, loss="focal")
    with pytest.raises(MedsegError, match="no finished other fold"):
        all_folds(lone)


def test_thresholds_are_averaged_and_other_rules_refused(run_of, polygon_dataset, new, tmp_path):
    runs = [run_of(polygon_dataset, fold=fold, thresholds="fitted") for fold in range(2)]
    for run, threshold in zip(runs, (0.2, 0.6), strict=True):
        run.update(evaluation={"thresholds": dict.fromkeys("abc", threshold)})
    predictors = [constant(0.39, 0.41, 0.1)] * 2
    predict(runs, predictors, new, tmp_path / "out")
    assert codes(tmp_path / "out")["new.png", "b"] == "1 80"
    assert codes(tmp_path / "out")["new.png", "a"] == ""
    with pytest.raises(MedsegError, match="differ in their thresholds, postprocess or crf"):
        Average([runs[0], run_of(polygon_dataset, fold=1)], predictors)


def test_runs_over_other_data_are_refused(folds):
    folds[1].update(dataset={**folds[1].record["dataset"], "fingerprint": "00"})
    with pytest.raises(MedsegError, match="differ in their data"):
        Average(folds, [constant(1, 1, 1)] * 3)
