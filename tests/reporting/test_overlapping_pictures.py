"""Pictures of samples and cases with overlapping classes."""

import numpy as np
import pytest

from medseg import project
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import Segmentation, segmenter
from medseg.experiments import runs
from medseg.reporting import overlapping_gallery as class_gallery
from medseg.reporting import overlapping_samples as class_samples
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure


def test_an_overlap_is_drawn_in_the_mean_of_its_colours():
    masks = np.zeros((2, 1, 3), np.uint8)
    masks[0, 0, :2] = 1
    masks[1, 0, 1:] = 1
    drawn = class_samples.coloured(np.full((1, 3), 100, np.uint8), masks)
    first, second = class_samples.class_colours(2).astype(float)
    assert np.allclose(drawn[0, 0], 50 + first / 2, atol=1)
    assert np.allclose(drawn[0, 1], 50 + (first + second) / 4, atol=1)


def test_colours_of_29_classes_differ():
    assert len({tuple(colour) for colour in class_samples.class_colours(29).tolist()}) == 29


def test_predictions_say_the_dice_of_what_is_shown(polygon_dataset):
    rows = polygon_dataset.split("test")
    cases = class_samples.read_cases(polygon_dataset, rows)
    assert [title for title, _, _ in cases] == list(rows["case_id"])
    figure = class_samples.predictions(
        cases, lambda picture, _: Segmentation(np.zeros((3, *picture.shape), np.uint8), None)
    )
    assert figure.alt.startswith("2 pictures")


@pytest.fixture
def run(polygon_dataset, tmp_path, monkeypatch):
    """A scored run that misses class b everywhere."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    question = {"architecture": "any", "seed": 1}
    run = runs.prepare_run("handbone", "2_train", question, polygon_dataset)
    with runs.training(run, "handbone", "2_train", question, polygon_dataset):
        run.finish()
    truths = {}
    for _, row in polygon_dataset.index.iterrows():
        picture, true = read_polygons(polygon_dataset, row)
        truths[picture.tobytes()] = rasterise(true, 3) * np.array([1, 0, 1], np.uint8)[:, None, None]
    segment = segmenter(run, lambda p: truths[p.tobytes()].astype(np.float32), polygon_dataset)
    evaluate(run, segment, polygon_dataset, tolerance=1)
    history = "epoch,split,loss,dice,iou,learning_rate,seconds\n1,train,1,0,0,0.1,1\n1,validation,1,0,0,,1\n"
    (run.folder / "history.csv").write_text(history)
    return run


def test_the_gallery_shows_the_worst_class_first_and_whole_cases(run):
    parts = class_gallery.worst(compare([run]), classes=2, cases=1).parts
    tiles = [part for part in parts if isinstance(part, Figure)]
    assert len(tiles) == 3
    assert tiles[0].caption.startswith("b: mean Dice 0.000; here 0.000")
    assert "0.0 % of the picture is found" in tiles[0].alt
    assert tiles[-1].caption.startswith("ID000-image")


def test_a_dataset_prepared_anew_is_said_to_be_so(run):
    run.update(dataset={**run.record["dataset"], "fingerprint": "00" * 32})
    assert "was prepared anew" in repr(class_gallery.worst(compare([run])).parts[0])
