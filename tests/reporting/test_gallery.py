"""The gallery shows the worst and the best cases of every kind of label."""

import shutil

import cv2
import numpy as np
import pytest
import synthetic_runs
from test_figures import pixels

from medseg import project
from medseg.datasets import splits
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.experiments import runs as run_folders
from medseg.masks import rle
from medseg.reporting import gallery
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure, Fragment
from medseg.reporting.samples import kind_of


def test_the_gallery_shows_the_worst_and_the_best_cases(runs):
    shown = gallery.cases(runs[0], test_set="ETIS", worst=2, best=1).parts
    table = runs[0].cases().query("test_set == 'ETIS'").dropna(subset="dice").sort_values("dice")
    ids = [table["case_id"].iloc[0], table["case_id"].iloc[1], table["case_id"].iloc[-1]]
    assert [part.caption.split(",")[0] for part in shown] == [f"Worst: {ids[0]}", f"Worst: {ids[1]}", f"Best: {ids[2]}"]
    assert all(part.kind == "tile" and part.alt for part in shown)


def test_a_case_is_shown_once_where_there_are_few(runs):
    captions = [part.caption for part in gallery.cases(runs[0], test_set="ETIS", worst=12, best=12).parts]
    assert len(captions) == len(set(captions)) == 15


def test_the_difference_map_tells_missed_from_false_alarm(dataset, runs):
    sample = dataset.split("test").iloc[0]
    truth = cv2.imread(str(dataset.path(sample["label"])), cv2.IMREAD_GRAYSCALE) > 0
    everything = rle.encode(np.ones_like(truth))
    case, kind = sample["case_id"], kind_of(dataset)
    nothing = gallery._tile(dataset, kind, {(case, "polyp"): ""}, case, "Worst")
    all_of_it = gallery._tile(dataset, kind, {(case, "polyp"): everything}, case, "Worst")
    inside = cv2.resize(truth.astype(np.uint8), (360, round(360 * truth.shape[0] / truth.shape[1]))) > 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((15, 15))) > 0
    missed, alarm = (pixels(figure)[:, -360:] for figure in (nothing, all_of_it))
    red, _, blue = missed[inside].mean(axis=0)
    assert red > blue + 60  # orange: missed
    outside = ~cv2.dilate(inside.astype(np.uint8), np.ones((45, 45))).astype(bool)
    red, _, blue = alarm[outside].mean(axis=0)
    assert blue > red + 60  # blue: false alarm
    assert "0.0 % of the picture is found" in nothing.alt


def test_the_gallery_says_so_where_the_pictures_are_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path / "runs"))
    dataset = synthetic_runs.make_dataset(tmp_path / "data")
    run = synthetic_runs.make_run(dataset, {"architecture": "Unet", "seed": 1}, 0.8)
    (run.folder / "predictions" / "ETIS.csv").unlink()
    assert "ETIS.csv" in repr(gallery.cases(run, test_set="ETIS").parts[0])
    shutil.rmtree(dataset.folder)
    synthetic_runs.make_dataset(dataset.folder, seed=1)
    assert "prepared anew" in repr(gallery.cases(run, test_set="ClinicDB").parts[0])
    shutil.rmtree(dataset.folder)
    [gone] = gallery.cases(run, test_set="ClinicDB").parts
    assert isinstance(gone, Fragment)
    assert repr(gone).startswith("No pictures: ")
    [line] = gallery.extremes(compare([run])).parts  # neither legend nor headings, and of all test sets one line
    assert repr(line) == repr(gone)


@pytest.fixture
def run_over(polygon_dataset, tmp_path, monkeypatch):
    """A function: a scored run that holds out a fold and finds the classes of ``found`` exactly, the others never."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))

    def scored(found="ac", **question):
        question = {"architecture": "any", "seed": 1, **question}
        dataset = splits.hold_out(polygon_dataset, question.get("fold", 0))
        run = run_folders.prepare_run("handbone", "2_train", question, dataset)
        with run_folders.training(run, "handbone", "2_train", question, dataset):
            run.finish()
        truths, kept = {}, np.array([name in found for name in "abc"], np.uint8)[:, None, None]
        for _, row in dataset.index.iterrows():
            picture, true = read_polygons(dataset, row)
            truths[picture.tobytes()] = rasterise(true, 3) * kept
        segment = segmenter(run, lambda p: truths[p.tobytes()].astype(np.float32), dataset)
        evaluate(run, segment, dataset, tolerance=1)
        history = "epoch,split,loss,dice,iou,learning_rate,seconds\n1,train,1,0,0,0.1,1\n1,validation,1,0,0,,1\n"
        (run.folder / "history.csv").write_text(history)
        return run

    return scored


@pytest.fixture
def run(run_over):
    """Misses class b everywhere."""
    return run_over()


def test_of_folds_each_case_is_shown_as_the_network_predicted_it_that_did_not_see_it(run_over):
    runs = [run_over(found, fold=fold) for fold, found in enumerate(("abc", "a", "ab"))]
    parts = gallery.extremes(compare(runs), classes=1, worst=6, best=0).parts
    tiles = [part for part in parts if isinstance(part, Figure)]
    assert tiles[0].caption.startswith("c: mean Dice 0.333; here 0.000 (ID001-image0")
    whole = {tile.caption.split(":")[0][:12]: tile.alt for tile in tiles[1:]}
    assert len(whole) == 6
    missed = {name: not alt.split("found, ")[1].startswith("0.0 % missed") for name, alt in whole.items()}
    assert missed == {
        "ID000-image0": False, "ID000-image1": False, "ID001-image0": True, "ID001-image1": True,
        "ID002-image0": True, "ID002-image1": False,
    }  # fmt: skip


def test_of_several_classes_the_worst_come_first_then_whole_cases(run):
    parts = gallery.extremes(compare([run]), classes=2, worst=1, best=0).parts
    tiles = [part for part in parts if isinstance(part, Figure)]
    assert len(tiles) == 3
    assert tiles[0].caption.startswith("b: mean Dice 0.000; here 0.000")
    assert "0.0 % of the picture is found" in tiles[0].alt
    assert tiles[-1].caption.startswith("ID000-image")


def test_a_dataset_prepared_anew_is_said_to_be_so(run):
    run.update(dataset={**run.record["dataset"], "fingerprint": "00" * 32})
    assert "was prepared anew" in repr(gallery.cases(run, test_set="fold-0").parts[0])
