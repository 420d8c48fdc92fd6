"""Figures of samples: they are drawn for every kind of input, and say what they show."""

import numpy as np
import pandas as pd
import pytest
import toy_frames

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import generator
from medseg.datasets.frames import Frames, read_class_map
from medseg.datasets.polygon_items import PolygonItems
from medseg.errors import MedsegError
from medseg.evaluation.rules import Segmentation
from medseg.masks import outlines
from medseg.reporting import samples
from medseg.studies.gastric import pictures


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toy_frames.make_dataset(tmp_path_factory.mktemp("samples") / "data")


def test_frames_are_read_once_while_there_is_room(dataset):
    frames = Frames(dataset, dataset.index, budget=40 * 50 * 4)
    image, mask = frames[0]
    assert (image.shape, mask.shape, image.dtype) == ((40, 50, 3), (40, 50), np.uint8)
    assert set(np.unique(mask)) == {0, 1}
    assert frames[0][0] is image
    assert frames[1][0] is not frames[1][0]
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


def test_a_frame_that_cannot_be_used_is_named(dataset, tmp_path):
    (dataset.folder / "broken.png").write_bytes(b"no picture")
    for label, expected in (("broken.png", "broken.png is not a readable picture"), ("m1.png", "its mask 70 x 90")):
        rows = pd.DataFrame({"image": ["i0.png"], "label": [label]})
        with pytest.raises(MedsegError, match=expected):
            _ = Frames(dataset, rows)[0]
    (dataset.folder / "broken.png").unlink()


def perfect(picture: np.ndarray, name: str) -> Segmentation:
    return Segmentation(np.ones(picture.shape[:2], np.uint8), np.ones(picture.shape[:2], np.float32))


def test_pictures_and_predictions_of_all_sizes(dataset):
    frames = Frames(dataset, dataset.index)
    predicted = samples.predictions(dataset, dataset.index, perfect, lambda case, mask: f"{mask.sum()} pixels")
    assert (predicted.kind, predicted.mimetype) == ("photo", "image/jpeg")
    assert predicted.alt == "3 pictures with truth and prediction."
    for name in ("none", "warp"):
        warp = build_augmentation(name, 32)
        shown = samples.augmented(frames, lambda e, n, warp=warp: warp(*frames[n], generator(0, e, n)), ["polyp"])
        assert "3 training pictures" in shown.alt
        assert "the outline is the mask" in shown.caption


def test_overlapping_classes_are_drawn_in_colour(polygon_dataset):
    rows = polygon_dataset.split("test")
    nothing = Segmentation(np.zeros((3, 80, 100), np.uint8), None)
    assert samples.predictions(polygon_dataset, rows, lambda *_: nothing).alt.startswith("2 pictures")
    items = PolygonItems(polygon_dataset, rows, resolution=32)
    plain = [items.plain(number) for number in range(2)]
    shown = samples.augmented(plain, items.training, polygon_dataset.info["classes"], list(rows["case_id"]))
    assert "light blue: a, green: b, orange: c" in shown.caption


def test_a_class_map_is_drawn_in_the_colours_of_its_classes(phase_dataset):
    picture, label = read_class_map(phase_dataset, phase_dataset.index.iloc[0])
    drawn = samples.labelled(picture, label, phase_dataset.info["classes"])
    assert np.allclose(drawn[label == 1], (picture[label == 1] + np.array(outlines.FEW["light blue"])) / 2, atol=1)
    assert (drawn[label == 0] == picture[label == 0]).all()
    shown = pictures.predictions(phase_dataset, phase_dataset.split("test"), perfect)
    assert "pink: phase-4" in shown.caption
