import cv2
import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.datasets import index
from medseg.datasets.frames import Frames
from medseg.errors import MedsegError
from medseg.evaluation.binary import evaluate
from medseg.experiments import runs
from medseg.metrics.overlap import CASE_COLUMNS
from medseg.metrics.saliency import MEASURES, saliency_measures

SIZES = {"A": [(40, 50), (48, 36), (40, 50)], "B": [(60, 60), (32, 64)]}


@pytest.fixture
def dataset(tmp_path):
    """Grey discs, brighter than their ground; the last case of A shows none."""
    with index.writing(tmp_path / "data", study="toy", name="toy", classes=["polyp"], protocol="toy") as draft:
        cases = [("train", "", (40, 40)), *(("test", name, size) for name, sizes in SIZES.items() for size in sizes)]
        for number, (split, test_set, (height, width)) in enumerate(cases):
            mask = np.zeros((height, width), np.uint8)
            if number != len(SIZES["A"]):
                cv2.circle(mask, (width // 2, height // 2), 7 + number, 255, -1)
            picture = cv2.GaussianBlur(mask // 2 + 40, (0, 0), 2)
            for kind, pixels in (("images", picture), ("labels", mask)):
                draft.write_file(f"{kind}/{number}.png", cv2.imencode(".png", pixels)[1].tobytes())
            files = {"image": f"images/{number}.png", "label": f"labels/{number}.png"}
            names = {"case_id": f"a/{number}", "group": f"g{number}", "split": split, "fold": -1}
            draft.rows.append({**names, **files, "test_set": test_set})
    return index.load(tmp_path / "data")


@pytest.fixture
def run(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    question = {"architecture": "any", "seed": 1}
    run = runs.prepare_run("toy", "2_train", question, dataset)
    with runs.training(run, "toy", "2_train", question, dataset):
        run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
        run.finish()
    return run


def brightness(pictures):
    """A predictor that takes bright for polyp."""
    return [picture[..., 0].astype(np.float32) / 255 for picture in pictures]


def test_cases_have_the_counted_columns_first_and_the_fields_measures_behind(run, dataset):
    table = evaluate(run, brightness, dataset, threshold=0.3, batch_size=2)
    assert list(table.columns) == [*CASE_COLUMNS, *MEASURES]
    pd.testing.assert_frame_equal(run.cases(), table)
    rows = dataset.split("test")
    for number, (picture, truth) in enumerate(Frames(dataset, rows)):
        found, (probability,) = table.iloc[number], brightness([picture])
        assert found["case_id"] == rows["case_id"][number]
        assert found["tp"] == np.count_nonzero((probability > 0.3) & (truth == 1))
        expected = saliency_measures(probability, truth)
        assert found[list(MEASURES)].to_dict() == pytest.approx(expected, nan_ok=True)
    assert table.loc[2, list(MEASURES)].isna().all()  # nothing to find


def test_the_record_has_the_fields_measures_of_each_test_set(run, dataset):
    table = evaluate(run, brightness, dataset)
    written = run.record["evaluation"]["saliency"]
    assert "PraNet" in written["rule"]
    assert {name: figures["n_scored"] for name, figures in written["test_sets"].items()} == {"A": 2, "B": 2}
    for name, figures in written["test_sets"].items():
        means = table[table["test_set"] == name][list(MEASURES)].mean().drop("e_max")
        assert {k: figures[k] for k in means.index} == pytest.approx(means.to_dict())
        assert figures["e_max"] <= table.loc[table["test_set"] == name, "e_max"].mean()


def test_a_test_set_without_anything_to_find_has_no_figures(run, dataset):
    dataset.index.loc[dataset.index["case_id"] == "a/3", "test_set"] = "empty"
    evaluate(run, brightness, dataset)
    figures = run.record["evaluation"]["saliency"]["test_sets"]["empty"]
    assert figures == {**dict.fromkeys(MEASURES), "n_scored": 0}


def test_a_network_that_gives_no_numbers_is_refused(run, dataset):
    def diverged(pictures):
        return [np.full(picture.shape[:2], np.nan, np.float32) for picture in pictures]

    with pytest.raises(MedsegError, match="no number for a/1: its training diverged"):
        evaluate(run, diverged, dataset)
    assert not run.evaluated
