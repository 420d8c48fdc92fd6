"""Submissions and their scores."""

import pytest
from predicting import predict

from medseg.errors import MedsegError
from medseg.evaluation import submission
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
    predict([run], [right], pictures, tmp_path / "out")
    out = tmp_path / "out" / "submission.csv"
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
