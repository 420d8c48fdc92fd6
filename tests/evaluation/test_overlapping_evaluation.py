"""Scoring many overlapping classes: every bone of every case, from probabilities to cases.csv."""

import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.errors import MedsegError
from medseg.evaluation.overlapping import MaskRules, evaluate
from medseg.experiments import runs
from medseg.masks import rle


@pytest.fixture
def run(polygon_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    question = {"architecture": "any", "seed": 1}
    run = runs.prepare_run("handbone", "2_train", question, polygon_dataset)
    with runs.training(run, "handbone", "2_train", question, polygon_dataset):
        run.finish()
    return run


@pytest.fixture
def truths(polygon_dataset):
    """True masks (3, H, W) by the picture's bytes, so that a predictor can look them up."""
    found = {}
    for _, row in polygon_dataset.index.iterrows():
        picture, true = read_polygons(polygon_dataset, row)
        found[picture.tobytes()] = rasterise(true, 3)
    return found


def score(run, predict, dataset, **rules):
    return evaluate(run, predict, dataset, rules=MaskRules(**rules), tolerance=1.0)


def test_a_perfect_prediction_is_perfect_in_every_measure(run, polygon_dataset, truths):
    table = score(run, lambda picture: truths[picture.tobytes()].astype(np.float32), polygon_dataset)
    assert len(table) == 2 * 3
    assert list(table["class"][:3]) == ["a", "b", "c"]
    absent = table.iloc[5]
    assert absent[["dice", "hd95", "surface_dice"]].isna().all()
    rest = table.drop(index=5)
    assert (rest["dice"] == 1).all()
    assert (rest["hd95"] == 0).all()
    assert (rest["surface_dice"] == 1).all()
    assert set(table["age"]) == {30}
    pd.testing.assert_frame_equal(run.cases(), table, check_dtype=False)


def test_a_missed_bone_counts_with_the_diagonal(run, polygon_dataset):
    table = score(run, lambda picture: np.zeros((3, *picture.shape), np.float32), polygon_dataset)
    present = table[table["fn"] > 0]
    assert len(present) == 5
    assert np.allclose(present["hd95"], np.hypot(100, 80))
    assert (present[["dice", "surface_dice"]] == 0).all().all()


def test_predictions_keep_whole_names_and_empty_masks(run, polygon_dataset, truths):
    score(run, lambda picture: truths[picture.tobytes()].astype(np.float32), polygon_dataset)
    written = pd.read_csv(run.folder / "predictions" / "fold-0.csv", keep_default_na=False)
    assert list(written.columns) == ["image_name", "class", "rle"]
    assert list(written["image_name"]) == ["image0.v1_R.png"] * 3 + ["image1.v1_R.png"] * 3
    assert written["rle"].iloc[5] == ""
    assert rle.decode(written["rle"].iloc[0], (80, 100)).sum() == 32 * 22


def test_thresholds_are_fitted_on_the_validation_cases_alone(run, polygon_dataset, truths):
    """Class a is predicted too timidly in validation and test; a fit on the test cases would give another value."""
    seen = []

    def predict(picture):
        seen.append(picture.tobytes())
        maps = 0.9 * truths[picture.tobytes()].astype(np.float32)
        maps[0] *= 0.3
        return maps

    table = score(run, predict, polygon_dataset, thresholds="fitted")
    assert (table.loc[table["class"] == "a", "dice"] == 1).all()
    evaluation = run.record["evaluation"]
    assert evaluation["thresholds"]["a"] < 0.27 < 0.5 == evaluation["thresholds"]["b"]
    assert "validation cases alone" in evaluation["rule"]
    fold = [row for _, row in polygon_dataset.index.iterrows() if row["split"] == "validation"]
    assert seen[:2] == [read_polygons(polygon_dataset, row)[0].tobytes() for row in fold]
    assert len(seen) == 4  # the training cases are never looked at


def test_postprocessing_mends_the_mask_before_it_is_counted(run, polygon_dataset, truths):
    def holed(picture):
        maps = truths[picture.tobytes()].astype(np.float32).copy()
        maps[0, 15:18, 15:18] = 0
        maps[1, 75, 5] = 1
        return maps

    plain = score(run, holed, polygon_dataset)
    assert (plain.loc[plain["class"] == "a", "fn"] == 9).all()
    mended = score(run, holed, polygon_dataset, postprocess="both")
    assert (mended["dice"].dropna() == 1).all()


def test_a_network_that_diverged_is_named(run, polygon_dataset):
    with pytest.raises(MedsegError, match="gives no number for ID000-image0.v1_R \\(a\\)"):
        score(run, lambda picture: np.full((3, *picture.shape), np.nan, np.float32), polygon_dataset)


def test_unknown_rules_are_refused():
    with pytest.raises(MedsegError, match="expected fixed or fitted"):
        MaskRules(thresholds="best")
