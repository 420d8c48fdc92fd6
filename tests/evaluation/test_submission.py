"""Submissions of a trained run, and their scores."""

import cv2
import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation import submission
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.masks import submission as files

RULES = {"thresholds": "fixed", "postprocess": "none", "crf": False}


@pytest.fixture
def run(run_of, polygon_dataset):
    return run_of(polygon_dataset, **RULES)


@pytest.fixture
def pictures(polygon_dataset, tmp_path):
    """The test pictures under their whole names, as a competition gives them."""
    for _, row in polygon_dataset.split("test").iterrows():
        target = tmp_path / "test" / "DCM" / row["group"] / row["image_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(polygon_dataset.path(row["image"]).read_bytes())
    return tmp_path / "test"


def test_a_perfect_submission_scores_one_and_keeps_empty_masks(run, pictures, polygon_dataset, right, tmp_path):
    out = tmp_path / "submission.csv"
    assert submission.predict_folder([run], [right], pictures, out) == "2 pictures"
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
        submission.predict_folder([run], [None], pictures, pictures / "out.csv")


def test_fitted_thresholds_need_an_evaluation(run, pictures, tmp_path):
    run.update(parameters={**RULES, "thresholds": "fitted"})
    with pytest.raises(MedsegError, match="fitted by 3_evaluate"):
        submission.predict_folder([run], [None], pictures, tmp_path / "out.csv")


def test_pictures_of_one_class_are_predicted_by_the_threshold_of_the_evaluation(run_of, discs, brightness, tmp_path):
    run, out = run_of(discs), tmp_path / "submission.csv"
    evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs)
    said = submission.predict_folder([run], [brightness], discs.folder / "images", out)
    assert said == f"{len(discs.index)} pictures"
    found = {row.image_name: row.rle for row in files.read(out)}
    for test_set in ("A", "B"):
        for row in files.read(run.folder / "predictions" / f"{test_set}.csv"):
            assert found[f"{row.image_name.removeprefix('a/')}.png"] == row.rle
            assert bool(row.rle) == (row.image_name != "a/3")


def test_classes_of_a_map_are_predicted_one_by_one_and_scored(run_of, phase_dataset, phases, tmp_path):
    run, out = run_of(phase_dataset), tmp_path / "submission.csv"
    submission.predict_folder([run], [phases], phase_dataset.folder / "images", out)
    rows = list(files.read(out))
    assert len(rows) == 4 * len(phase_dataset.index)
    files.write(out, [(row.image_name.removesuffix(".png"), *row[1:]) for row in rows])
    scores = submission.score(out, phase_dataset)
    assert set(scores["class"]) == set(phase_dataset.info["classes"])
    assert (scores["dice"].dropna() == 1).all()
