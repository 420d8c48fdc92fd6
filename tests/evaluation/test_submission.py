"""Submissions of a trained run, and their scores."""

import cv2
import numpy as np
import pytest

from medseg import project
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.errors import MedsegError
from medseg.evaluation import submission
from medseg.experiments import runs
from medseg.masks import submission as files

RULES = {"thresholds": "fixed", "postprocess": "none", "crf": False}


@pytest.fixture
def run(polygon_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    run = runs.prepare_run("handbone", "2_train", RULES, polygon_dataset)
    with runs.training(run, "handbone", "2_train", RULES, polygon_dataset):
        run.finish()
    return run


@pytest.fixture
def pictures(polygon_dataset, tmp_path):
    """The test pictures under their whole names, as a competition gives them."""
    for _, row in polygon_dataset.split("test").iterrows():
        target = tmp_path / "test" / "DCM" / row["group"] / row["image_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(polygon_dataset.path(row["image"]).read_bytes())
    return tmp_path / "test"


def test_a_perfect_submission_scores_one_and_keeps_empty_masks(run, pictures, polygon_dataset, tmp_path):
    truths = {}
    for _, row in polygon_dataset.index.iterrows():
        picture, true = read_polygons(polygon_dataset, row)
        truths[picture.tobytes()] = rasterise(true, 3).astype(np.float32)
    out = tmp_path / "submission.csv"
    assert submission.predict_folder(run, lambda picture: truths[picture.tobytes()], pictures, out) == 2
    rows = list(files.read(out))
    assert [row.image_name for row in rows] == ["image0.v1_R.png"] * 3 + ["image1.v1_R.png"] * 3
    assert rows[-1].rle == ""
    scores = submission.score(out, polygon_dataset)
    assert len(scores) == 6
    assert (scores["dice"].dropna() == 1).all()


def test_a_missing_mask_is_named(polygon_dataset, tmp_path):
    out = tmp_path / "submission.csv"
    files.write(out, [("image0.v1_R.png", "a", "")])
    with pytest.raises(MedsegError, match="no mask of b for image0.v1_R.png"):
        submission.score(out, polygon_dataset)


def test_two_pictures_of_one_name_are_refused(run, pictures):
    again = pictures / "again" / "image0.v1_R.png"
    again.parent.mkdir()
    again.write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    with pytest.raises(MedsegError, match="image0.v1_R.png more than once"):
        submission.predict_folder(run, None, pictures, pictures / "out.csv")


def test_fitted_thresholds_need_an_evaluation(run, pictures, tmp_path):
    run.update(parameters={**RULES, "thresholds": "fitted"})
    with pytest.raises(MedsegError, match="fitted by 3_evaluate"):
        submission.predict_folder(run, None, pictures, tmp_path / "out.csv")
