"""Batches: deterministic, picture and label together, validation untouched."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from medseg.datasets import index
from medseg.datasets.augmentation.warp import plain_resize
from medseg.errors import MedsegError
from medseg.keras import augment as augmentation
from medseg.keras.augment import AUGMENTATIONS, augment, item_seed, loaded_side
from medseg.keras.data import training_batches, validation_batches

GEOMETRIC = ["flip_left_right", "flip_up_down", "crop", "rotate"]


def _coded(side):
    """A picture that says its label: grey 60 times the class; five fields of different sizes."""
    label = np.zeros((side, side), np.uint8)
    label[:, side // 2 :] = 1
    label[: side // 3, : side // 4] = 2
    label[side // 2 :, side // 5 : side // 2] = 3
    label[side - side // 4 :, side - side // 6 :] = 4
    return np.repeat(label[..., None] * 60, 3, -1), label


def _augmented(names, count=40, resolution=48, seed=1):
    picture, label = _coded(loaded_side(resolution, names))
    one = tf.function(
        lambda number: augment(
            tf.constant(picture), tf.constant(label), item_seed(seed, tf.constant(0), number), resolution, names
        )
    )
    results = [one(tf.constant(number)) for number in range(count)]
    return np.stack([r[0].numpy() for r in results]), np.stack([r[1].numpy() for r in results])


def test_picture_and_label_stay_together():
    _, labels = _augmented(GEOMETRIC)
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}  # no new value
    assert len({label.tobytes() for label in labels}) > 30
    # A white disc on black: it and its label keep one centre but for the half pixel that the nearest may be away.
    side = loaded_side(48, GEOMETRIC)
    label = (np.hypot(*(np.mgrid[:side, :side] - np.array([26, 31])[:, None, None])) < 13).astype(np.uint8)
    picture = np.repeat(label[..., None] * 255, 3, -1)
    apart = []
    for number in range(20):
        key = item_seed(2, tf.constant(0), tf.constant(number))
        changed, same = augment(tf.constant(picture), tf.constant(label), key, 48, GEOMETRIC)
        of_picture, of_label = (cv2.moments(one.astype(np.float32)) for one in (changed.numpy()[..., 1], same.numpy()))
        apart.append([of_picture[m] / of_picture["m00"] - of_label[m] / of_label["m00"] for m in ("m10", "m01")])
    assert np.abs(np.mean(apart, 0)).max() < 0.1
    assert np.abs(apart).max() < 0.5


def test_flips_and_turns_are_exact_and_all_occur():
    _, label = _coded(48)
    for names, expected in (
        (["flip_left_right"], [label, label[:, ::-1]]),
        (["flip_up_down"], [label, label[::-1]]),
        (["rotate"], [np.rot90(label, turns) for turns in range(4)]),
    ):
        pictures, labels = _augmented(names)
        assert {one.tobytes() for one in labels} == {one.tobytes() for one in expected}
        np.testing.assert_allclose(pictures[..., 0] * 255, labels * 60.0, atol=1e-4)


def test_crops_keep_80_to_100_percent_of_the_side_in_register():
    # A picture whose value is its own place tells which part was cut out.
    side, resolution = loaded_side(48, ["crop"]), 48
    assert side == 60
    ramp = np.tile(np.arange(side, dtype=np.uint8)[:, None, None] * 4, (1, side, 3))
    label = np.zeros((side, side), np.uint8)
    sides, tops = [], []
    for number in range(60):
        key = item_seed(0, tf.constant(3), tf.constant(number))
        picture, _ = augment(tf.constant(ramp), tf.constant(label), key, resolution, ["crop"])
        places = picture.numpy()[:, 0, 0] * 255 / 4 + 0.5  # centres of the rows, in pixels of the source
        step = places[1] - places[0]
        np.testing.assert_allclose(np.diff(places), step, atol=1e-3)
        sides.append(step * resolution)
        tops.append(places[0] - step / 2)
    assert 48 - 1e-3 <= min(sides) < 50
    assert 58 < max(sides) <= 60 + 1e-3
    assert min(tops) >= -1e-3
    assert max(np.add(tops, sides)) <= 60 + 1e-3
    assert np.std(tops) > 1


def test_brightness_and_noise_are_as_published_and_leave_the_label():
    grey = np.full((48, 48, 3), 128, np.uint8)
    label = _coded(48)[1]
    shifts, spreads = [], []
    for number in range(200):
        key = item_seed(5, tf.constant(0), tf.constant(number))
        picture, same = augment(tf.constant(grey), tf.constant(label), key, 48, ["brightness", "noise"])
        np.testing.assert_array_equal(same, label)
        shifts.append(picture.numpy().mean() - 128 / 255)
        spreads.append(picture.numpy().std())
    assert -0.201 < min(shifts) < -0.15
    assert 0.15 < max(shifts) < 0.201
    assert np.median(spreads) == pytest.approx(0.05, rel=0.03)


def test_values_stay_between_0_and_1():
    pictures, _ = _augmented(list(AUGMENTATIONS))
    assert pictures.dtype == np.float32
    assert pictures.min() == 0
    assert pictures.max() <= 1


def test_what_is_drawn_for_one_does_not_depend_on_the_others():
    _, flipped = _augmented(["flip_up_down"])
    _, both = _augmented(["flip_up_down", "brightness", "noise"])
    np.testing.assert_array_equal(flipped, both)


def test_an_augmentation_is_a_preset_or_terms():
    assert augmentation.parse("published") == AUGMENTATIONS
    assert augmentation.parse("none") == ()
    assert augmentation.parse("flip_left_right + crop+noise") == ("flip_left_right", "crop", "noise")
    with pytest.raises(MedsegError, match="no augmentation 'flip_up'. Did you mean 'flip_up_down'.*, crop, brightness"):
        augmentation.parse("noise + flip_up")
    with pytest.raises(MedsegError, match="no augmentation ''"):
        augmentation.parse("")


def _epochs(discs, first, last, **options):
    common = {"resolution": 32, "augmentation": list(AUGMENTATIONS), "batch_size": 5, "seed": 4} | options
    batches = training_batches(discs, first_epoch=first, max_epochs=last, **common)
    made = [tuple(tensor.numpy() for tensor in batch) for batch in batches.dataset]
    assert len(made) == batches.steps * (last - first)
    return made


def test_an_epoch_is_a_function_of_seed_and_number_alone(discs):
    whole = _epochs(discs, 0, 3)
    resumed = _epochs(discs, 2, 3, workers=2)
    assert len(resumed) == 5
    for one, two in zip(whole[-5:], resumed, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    assert not np.array_equal(whole[0][0], whole[5][0])
    assert not np.array_equal(whole[0][0], _epochs(discs, 0, 1, seed=5)[0][0])
    assert [len(labels) for _, labels in whole[:5]] == [5, 5, 5, 5, 3]
    assert whole[0][0].shape == (5, 32, 32, 3)
    assert whole[0][1].shape == (5, 32, 32, 1)
    assert (whole[0][0].dtype, whole[0][1].dtype) == (np.float32, np.uint8)


def test_a_sample_is_changed_anew_in_every_epoch(discs):
    first, second = (
        {
            picture.tobytes()
            for pictures, _ in _epochs(discs, epoch, epoch + 1, augmentation=["noise"])
            for picture in pictures
        }
        for epoch in (0, 1)
    )
    assert len(first) == len(second) == 23
    assert not first & second


def test_an_epoch_has_every_sample_once_but_for_a_rest_too_small(discs):
    plain = {"augmentation": []}
    seen = [picture.tobytes() for pictures, _ in _epochs(discs, 0, 1, **plain) for picture in pictures]
    assert len(set(seen)) == 23
    assert sum(len(labels) for _, labels in _epochs(discs, 0, 1, batch_size=11, **plain)) == 22
    assert sum(len(labels) for _, labels in _epochs(discs, 0, 1, batch_size=10, replicas=2, **plain)) == 20
    assert sum(len(labels) for _, labels in _epochs(discs, 0, 1, batch_size=100, **plain)) == 23


def test_validation_is_resized_and_nothing_else(discs):
    batches = validation_batches(discs, resolution=32, batch_size=2)
    pictures, labels = (np.concatenate(parts) for parts in zip(*batches.dataset.as_numpy_iterator(), strict=True))
    assert batches.steps == 3
    rows = discs.split("validation")
    for row, picture, label in zip(rows.itertuples(), pictures, labels, strict=True):
        source = cv2.imread(str(discs.path(row.image)))[..., ::-1]
        expected, mask = plain_resize(source, cv2.imread(str(discs.path(row.label)), cv2.IMREAD_GRAYSCALE), 32)
        np.testing.assert_allclose(picture * 255, expected, atol=1e-4)
        np.testing.assert_array_equal(label[..., 0], mask)
        assert set(np.unique(label)) <= {0, row.phase}
    sizes = [len(labels) for _, labels in validation_batches(discs, resolution=32, batch_size=2, replicas=2).dataset]
    assert sizes == [2, 3]  # none is left for a device alone


def test_a_label_that_is_no_class_is_named(discs, tmp_path):
    with index.writing(tmp_path / "data", study="gastric", name="bad", classes=["phase-1"]) as draft:
        draft.write_file("images/0.png", cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
        draft.write_file("labels/0.png", cv2.imencode(".png", np.full((8, 8), 255, np.uint8))[1].tobytes())
        row = {"case_id": "0", "image": "images/0.png", "label": "labels/0.png", "group": "a", "split": "validation"}
        draft.rows.append({**row, "fold": -1, "test_set": ""})
    batches = validation_batches(index.load(tmp_path / "data"), resolution=16, batch_size=1)
    with pytest.raises(tf.errors.OpError):
        list(batches.dataset)
    assert isinstance(batches.failure, MedsegError)
    assert "holds the value 255, expected 0 to 1" in str(batches.failure)
