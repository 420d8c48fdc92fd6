"""The one evaluator: from masks to cases.csv, predictions and the record, for every kind of label."""

import math

import numpy as np
import pandas as pd
import pytest

from medseg.datasets.frames import Frames
from medseg.errors import MedsegError
from medseg.evaluation import measures
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.masks import rle
from medseg.metrics.overlap import COUNTS, OVERLAP
from medseg.metrics.saliency import MEASURES, SaliencySummary


@pytest.fixture
def run(run_of, discs):
    return run_of(discs)


def score(run, predict, dataset, **options):
    return evaluate(run, segmenter(run, predict, dataset), dataset, tolerance=1.0, **options)


# one class


def test_cases_have_the_counted_columns_first_and_the_fields_measures_last(run, discs, brightness):
    table = evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs, batch_size=2)
    first = ["test_set", "case_id", "group", "class", *COUNTS, *OVERLAP]
    assert list(table.columns) == [*first, "hd95", "surface_dice", "binary_iou", *MEASURES]
    pd.testing.assert_frame_equal(run.cases(), table)
    rows = discs.split("test")
    for number, (picture, truth) in enumerate(Frames(discs, rows)):
        found, (probability,) = table.iloc[number], brightness([picture])
        assert found["case_id"] == rows["case_id"][number]
        assert found["tp"] == np.count_nonzero((probability > 0.3) & (truth == 1))
        expected = SaliencySummary().add(probability, truth)
        assert found[list(MEASURES)].to_dict() == pytest.approx(expected, nan_ok=True)
    assert table.loc[2, list(MEASURES)].isna().all()  # nothing to find


def test_outlines_of_one_class_are_measured_as_slowly_by_hand(run, discs, brightness):
    """Against distances of every pixel on one outline to every one on the other, from the pictures themselves."""
    table = evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs, tolerance=0.5)
    for number, (picture, truth) in enumerate(Frames(discs, discs.split("test"))):
        if not truth.any():
            continue
        there, back = (outline(mask) for mask in (brightness([picture])[0] > 0.3, truth.astype(bool)))
        distances = [np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)) for one, other in ((there, back),)]
        directed = [distances[0].min(1), distances[0].min(0)]
        assert table["hd95"][number] == pytest.approx(max(np.percentile(values, 95) for values in directed))
        near = sum(np.count_nonzero(values <= 0.5) for values in directed)
        assert table["surface_dice"][number] == pytest.approx(near / (len(there) + len(back)))


def outline(mask):
    """(n, 2) pixels of a mask with a side neighbour outside of it."""
    framed = np.pad(mask, 1)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return np.argwhere(mask & ~inside)


def test_a_polyp_that_was_missed_counts_with_the_diagonal(run, discs):
    table = score(run, lambda pictures: [np.zeros(p.shape[:2], np.float32) for p in pictures], discs)
    sizes = [picture.shape[:2] for picture, _ in Frames(discs, discs.split("test"))]
    expected = [math.hypot(*size) for size in sizes]
    expected[2] = math.nan  # nothing to find and nothing found
    assert list(table["hd95"]) == pytest.approx(expected, nan_ok=True)
    assert table["surface_dice"].sum() == 0


def test_the_record_has_the_fields_measures_of_each_test_set(run, discs, brightness):
    table = score(run, brightness, discs)
    written = run.record["evaluation"]["saliency"]
    assert "PraNet" in written["rule"]
    assert {name: figures["n_scored"] for name, figures in written["test_sets"].items()} == {"A": 2, "B": 2}
    for name, figures in written["test_sets"].items():
        means = table[table["test_set"] == name][list(MEASURES)].mean().drop("e_max")
        assert {k: figures[k] for k in means.index} == pytest.approx(means.to_dict())
        assert figures["e_max"] <= table.loc[table["test_set"] == name, "e_max"].mean()


def test_the_record_says_by_which_rules_the_masks_were_made(run, discs, brightness):
    evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs, tolerance=1.5)
    evaluation = run.record["evaluation"]
    assert evaluation["threshold"] == 0.3
    assert evaluation["rule"] == "probability above 0.3, fixed in advance"
    assert evaluation["rules"] == {"thresholds": "fixed", "postprocess": "none", "crf": False}
    assert evaluation["surface_tolerance_px"] == 1.5
    assert evaluation["n_cases"] == {"A": 3, "B": 2}
    assert "thresholds" not in evaluation


def test_a_test_set_without_anything_to_find_has_no_figures(run, discs, brightness):
    discs.index.loc[discs.index["case_id"] == "a/3", "test_set"] = "empty"
    score(run, brightness, discs)
    figures = run.record["evaluation"]["saliency"]["test_sets"]["empty"]
    assert figures == {**dict.fromkeys(MEASURES), "n_scored": 0}


def test_a_network_that_gives_no_numbers_is_refused(run, discs):
    def diverged(pictures):
        return [np.full(picture.shape[:2], np.nan, np.float32) for picture in pictures]

    with pytest.raises(MedsegError, match="no number for a/1: its training diverged"):
        score(run, diverged, discs)
    assert not run.evaluated


def test_another_dataset_is_refused(run, discs, brightness):
    run.update(dataset={**run.record["dataset"], "fingerprint": "0" * 64})
    with pytest.raises(MedsegError, match="prepared anew"):
        segmenter(run, brightness, discs)


def test_a_new_measure_is_one_entry(run, discs, brightness, monkeypatch):
    area = measures.Measure("area", "area", lambda scored: float(scored.predicted.sum()), high=math.inf, unit="px")
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, area))
    table = score(run, brightness, discs)
    assert (table["area"] == table["tp"] + table["fp"]).all()
    assert list(run.cases().columns)[-1] == "area"
    assert measures.named("area").heading == "area, px"


# overlapping classes


def test_a_perfect_prediction_is_perfect_in_every_measure(run_of, polygon_dataset, right):
    run = run_of(polygon_dataset)
    table = score(run, right, polygon_dataset, carry=("side", "age", "height", "shoe_size"))
    assert len(table) == 2 * 3
    assert list(table["class"][:3]) == ["a", "b", "c"]
    absent = table.iloc[5]
    assert absent[["dice", "hd95", "surface_dice"]].isna().all()
    rest = table.drop(index=5)
    assert (rest["dice"] == 1).all()
    assert (rest["hd95"] == 0).all()
    assert (rest["surface_dice"] == 1).all()
    assert set(table["age"]) == {30}
    assert table["height"].isna().all()
    assert "shoe_size" not in table
    pd.testing.assert_frame_equal(run.cases(), table, check_dtype=False)


def test_a_missed_bone_counts_with_the_diagonal(run_of, polygon_dataset):
    run = run_of(polygon_dataset)
    table = score(run, lambda picture: np.zeros((3, *picture.shape), np.float32), polygon_dataset)
    present = table[table["fn"] > 0]
    assert len(present) == 5
    assert np.allclose(present["hd95"], np.hypot(100, 80))
    assert (present[["dice", "surface_dice"]] == 0).all().all()


def test_predictions_keep_whole_names_and_empty_masks(run_of, polygon_dataset, right):
    run = run_of(polygon_dataset)
    score(run, right, polygon_dataset)
    written = pd.read_csv(run.folder / "predictions" / "fold-0.csv", keep_default_na=False)
    assert list(written.columns) == ["image_name", "class", "rle"]
    assert list(written["image_name"]) == ["image0.v1_R.png"] * 3 + ["image1.v1_R.png"] * 3
    assert written["rle"].iloc[5] == ""
    assert rle.decode(written["rle"].iloc[0], (80, 100)).sum() == 32 * 22


def test_a_class_that_diverged_is_named(run_of, polygon_dataset):
    with pytest.raises(MedsegError, match="gives no number for ID000-image0.v1_R \\(a\\)"):
        score(
            run_of(polygon_dataset),
            lambda picture: np.full((3, *picture.shape), np.nan, np.float32),
            polygon_dataset,
        )


# class maps


def test_of_a_class_map_the_foreground_is_scored_and_every_class_is_written(run_of, phase_dataset, phases):
    run = run_of(phase_dataset)
    table = score(run, phases, phase_dataset, batch_size=4)
    assert list(table["class"].unique()) == ["foreground"]
    assert (table["dice"].dropna() == 1).all()
    assert (table["hd95"].dropna() == 0).all()
    assert table["dice"].isna().sum() == 2  # pictures without a lesion, rightly left empty
    written = pd.read_csv(run.folder / "predictions" / "test.csv", keep_default_na=False)
    assert list(written["class"][:4]) == phase_dataset.info["classes"]
    assert run.record["evaluation"]["rule"].startswith("sum of the probabilities of all classes above 0.5")


# objects and calibration


def test_objects_and_probabilities_are_counted_while_cases_are_scored(run, discs, brightness):
    table = evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs, batch_size=2)
    found = run.table("objects.csv", "")
    assert found["kind"].eq("truth").sum() == 4  # a disc in each case but one
    assert found["found"].eq(1).all()
    pixels = (table["tp"] + table["fn"]).set_axis(table["case_id"])
    assert found["pixels"].to_numpy() == pytest.approx(pixels[found["case_id"]].to_numpy())
    binned = run.table("calibration.csv", "")
    sums = binned.groupby("test_set")[["pixels", "foreground"]].sum()
    expected = table.assign(pixels=table[list(COUNTS)].sum(axis=1), foreground=table["tp"] + table["fn"])
    pd.testing.assert_frame_equal(sums, expected.groupby("test_set")[["pixels", "foreground"]].sum())
    assert {"objects.csv", "calibration.csv"} <= set(run.record["tables"])


def test_every_overlapping_class_is_counted(run_of, polygon_dataset, right):
    run = run_of(polygon_dataset)
    table = score(run, right, polygon_dataset)
    found = run.table("objects.csv", "")
    assert set(found["class"]) == {"a", "b", "c"}
    assert found["iou"].eq(1).all()
    assert run.table("calibration.csv", "")["foreground"].sum() == table["tp"].sum()
