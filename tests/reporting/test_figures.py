import shutil

import cv2
import numpy as np
import pytest
import synthetic_runs
from synthetic_runs import bare_run

from medseg.masks import rle
from medseg.reporting import curves, distributions, gallery, style
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure, Fragment

CHARTS = {
    "dice": lambda c: curves.learning(c, "dice"),
    "loss": lambda c: curves.learning(c, "loss"),
    "rate": curves.learning_rate,
    "scores": distributions.scores,
    "paired": distributions.paired,
}


def pixels(figure: Figure) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(figure.data, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_sharp_described_and_the_same_every_time(runs, name):
    one, other = (CHARTS[name](compare(runs)) for _ in range(2))
    assert one.data == other.data
    assert pixels(one).shape[1] == 2 * one.width <= 2 * style.WIDTH
    assert len(one.caption) > 20
    assert "attention-unet" in one.alt or "all configurations" in one.alt


@pytest.mark.parametrize("name", CHARTS)
def test_one_run_alone_can_be_drawn(tmp_path, name):
    run = bare_run(tmp_path / "a", {"ETIS": [0.5, 0.6]}, backbone="resnet18")
    assert pixels(CHARTS[name](compare([run]))).size


def test_every_configuration_has_its_colour_in_its_curves(runs):
    comparison = compare(runs)
    drawn = np.unique(pixels(CHARTS["dice"](comparison)).reshape(-1, 3).astype(int) @ (65536, 256, 1))
    drawn = np.stack([drawn >> 16, drawn >> 8 & 255, drawn & 255], axis=1)
    for c in comparison.configurations:
        wanted = [int(c.colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(drawn - wanted).max(axis=1).min() < 12


def test_a_constant_learning_rate_is_a_sentence(tmp_path):
    run = bare_run(tmp_path / "a", {"ETIS": [0.5]})
    history = run.history().assign(learning_rate=0.001)
    run.write_table("history.csv", history)
    assert repr(curves.learning_rate(compare([run]))) == "Learning rate: 0.001 throughout."


def test_the_gallery_shows_the_worst_and_the_best_cases(runs):
    shown = gallery.cases(runs[0], "ETIS", worst=2, best=1).parts
    table = runs[0].cases().query("test_set == 'ETIS'").dropna(subset="dice").sort_values("dice")
    ids = [table["case_id"].iloc[0], table["case_id"].iloc[1], table["case_id"].iloc[-1]]
    assert [part.caption.split(",")[0] for part in shown] == [f"Worst: {ids[0]}", f"Worst: {ids[1]}", f"Best: {ids[2]}"]
    assert all(part.kind == "tile" and part.alt for part in shown)


def test_a_case_is_shown_once_where_there_are_few(runs):
    captions = [part.caption for part in gallery.cases(runs[0], "ETIS", worst=12, best=12).parts]
    assert len(captions) == len(set(captions)) == 15


def test_the_difference_map_tells_missed_from_false_alarm(dataset, runs):
    sample = dataset.split("test").iloc[0]
    truth = cv2.imread(str(dataset.path(sample["label"])), cv2.IMREAD_GRAYSCALE) > 0
    everything = rle.encode(np.ones_like(truth))
    nothing = gallery._tile(("worst", sample["case_id"], 0.0), dataset, {sample["case_id"]: ""})
    all_of_it = gallery._tile(("worst", sample["case_id"], 0.0), dataset, {sample["case_id"]: everything})
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
    assert "ETIS.csv" in repr(gallery.cases(run, "ETIS").parts[0])
    shutil.rmtree(dataset.folder)
    synthetic_runs.make_dataset(dataset.folder, seed=1)
    assert "prepared anew" in repr(gallery.cases(run, "ClinicDB").parts[0])
    shutil.rmtree(dataset.folder)
    [gone] = gallery.cases(run, "ClinicDB").parts
    assert isinstance(gone, Fragment)
    assert "No pictures of ClinicDB" in repr(gone)
    assert len(gallery.extremes(compare([run])).parts) == 5  # legend, and heading and line for each test set
