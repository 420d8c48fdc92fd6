import json
import multiprocessing
import pickle

import cv2
import numpy as np
import pytest

from medseg.datasets import index
from medseg.datasets.polygon_items import PolygonItems, cache_size
from medseg.datasets.polygons import PolygonSet, draw_class, dump
from medseg.errors import MedsegError

CLASSES = ["finger-1", "finger-2", "Radius"]
SIZES = ((320, 320), (400, 280), (240, 360))  # (width, height)


def shapes(size):
    """Two bones that overlap, and one of two parts."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    centre = np.array(size) / 2

    def ellipse(x, y, width, height):
        return centre + 2 * np.array([x, y]) + 2 * circle * [width, height]

    return [
        (0, ellipse(-12.3, 3.1, 30.2, 18.7)),
        (1, ellipse(9.2, -6.4, 26.1, 31.9)),
        (2, ellipse(-41.1, 20.2, 9.3, 14.2)),
        (2, ellipse(35.7, 33.3, 12.1, 9.9)),
    ]


def make(folder, **columns):
    """Pictures are white where their first class is, so that picture and mask can be compared."""
    with index.writing(folder, study="handbone", name="tiny", classes=CLASSES) as draft:
        for number, size in enumerate(SIZES):
            polygons = PolygonSet.of(shapes(size), size)
            row = {"case_id": f"c{number}", "image": f"images/{number}.png", "label": f"polygons/{number}.json"}
            fine = polygons.transformed(np.eye(2, 3) * 4, (4 * size[0], 4 * size[1]))
            picture = cv2.resize(draw_class(fine, 0) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
            draft.write_file(row["image"], cv2.imencode(".png", picture)[1].tobytes())
            draft.write_file(row["label"], dump(polygons, CLASSES).encode())
            draft.rows.append(row | {"group": f"g{number}", "split": "train", "fold": 2, "test_set": ""} | columns)
    return index.load(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make(tmp_path_factory.mktemp("handbone") / "set")


def samples_of(dataset, **options):
    return PolygonItems(dataset, dataset.split("train"), **{"resolution": 192} | options)


def centroid(weights):
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


GEOMETRY = (
    "RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=30, p=1)"
    " + Affine(shear=(-8, 8), scale=(0.8, 1.2), p=1) + HorizontalFlip() + RandomRotate90()"
)


@pytest.mark.parametrize("augmentation", ["none", "crop", GEOMETRY, "SafeRotate(p=1) + Transpose()"])
def test_augmented_picture_and_bits_keep_in_register(dataset, augmentation):
    samples, offsets = samples_of(dataset, augmentation=augmentation), []
    for number in range(len(samples)):
        for epoch in range(12):
            picture, bits = samples.training(epoch, number)
            assert (picture.dtype, bits.dtype) == (np.uint8, np.int32)
            assert picture.shape == bits.shape == (192, 192)
            assert overlap(picture > 127, bits & 1 == 1) > 0.98
            offsets.append(centroid(picture / 255) - centroid(bits & 1))
    # A half-pixel slip between the two would show here, though hardly in the overlap.
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.05


@pytest.mark.parametrize("augmentation", ["none", "crop_rotate"])
def test_a_plain_picture_and_its_bits_keep_in_register(dataset, augmentation):
    samples = samples_of(dataset, augmentation=augmentation)
    for number in range(len(samples)):
        picture, bits = samples.plain(number)
        assert picture.shape == bits.shape == (192, 192)
        assert np.abs(centroid(picture / 255) - centroid(bits & 1)).max() < 0.1
        assert (bits & 3 == 3).any()  # the two bones overlap
        assert cv2.connectedComponents((bits >> 2 & 1).astype(np.uint8))[0] == 3  # two parts and the background


def test_without_augmentation_training_samples_are_the_plain_ones(dataset):
    samples = samples_of(dataset)
    for number in range(len(samples)):
        for one, other in zip(samples.training(3, number), samples.plain(number), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.flags.writeable


def test_samples_depend_on_seed_epoch_and_number_alone(dataset):
    samples, other = (
        samples_of(dataset, augmentation="intensity"),
        samples_of(dataset, augmentation="intensity", seed=1),
    )
    first = samples.training(0, 1)
    samples.training(5, 2)
    for one, again in zip(first, samples.training(0, 1), strict=True):
        np.testing.assert_array_equal(one, again)
    for changed in (samples.training(1, 1), other.training(0, 1)):
        assert (changed[1] != first[1]).any()


def training_of(task):
    samples, epoch, number = task
    return samples.training(epoch, number)


def test_samples_in_another_process_are_the_same(dataset):
    samples = samples_of(dataset, augmentation="intensity")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (elsewhere,) = pool.map(training_of, [(samples, 2, 1)])
    for one, other in zip(elsewhere, samples.training(2, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(pickle.dumps(samples)) < 20_000


def test_pictures_are_kept_larger_only_where_they_are_moved():
    assert cache_size(512, zoom=0, largest=2048) == 512
    assert cache_size(512, zoom=1, largest=2048) == 768
    assert cache_size(512, zoom=3, largest=2048) == 1536
    assert cache_size(1024, zoom=4, largest=2048) == 2048
    assert cache_size(512, zoom=1.1, largest=400) == 512


def test_mirroring_is_refused_where_the_side_is_predicted(dataset):
    samples_of(dataset, augmentation="HorizontalFlip()")
    with pytest.raises(MedsegError, match="left hands"):
        samples_of(dataset, augmentation="HorizontalFlip()", side_is_predicted=True)


def test_a_label_that_cannot_be_read_or_has_another_size_is_named(tmp_path):
    mismatched = make(tmp_path / "sizes", width_px=320, height_px=320)
    with pytest.raises(MedsegError, match="c1 is 320 x 320 pixels, its label file says 400 x 280"):
        samples_of(mismatched)
    broken = make(tmp_path / "set")
    label = broken.path("polygons/1.json")
    label.write_text(json.dumps({"size": [4, 4]}))
    with pytest.raises(MedsegError, match="1.json does not hold polygons"):
        samples_of(broken)
    label.unlink()
    with pytest.raises(MedsegError, match="1.json cannot be read"):
        samples_of(broken)
