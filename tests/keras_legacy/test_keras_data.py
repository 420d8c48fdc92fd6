"""Batches are a function of seed and epoch, whatever loads them."""

import numpy as np
import pytest
from tiny_network import normalise

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import generator, plain_resize
from medseg.datasets.frames import Frames, epoch_order
from medseg.keras_legacy.data import TrainingBatches, ValidationBatches


def _training(discs, seed=1, workers=0, batch_size=5):
    return TrainingBatches(
        discs, normalise, resolution=32, augmentation="warp", batch_size=batch_size, seed=seed, workers=workers
    )


def _pictures(batches):
    return [batches[number][0] for number in range(len(batches))]


def test_batches_repeat_by_seed_and_epoch(discs):
    batches = _training(discs)
    first = _pictures(batches)
    assert [len(pictures) for pictures in first] == [5, 5, 5, 5, 4]
    assert all(map(np.array_equal, first, _pictures(batches)))
    assert all(map(np.array_equal, first, _pictures(_training(discs, workers=3))))
    assert not np.array_equal(first[0], _pictures(_training(discs, seed=2))[0])
    batches.on_epoch_end()
    second = _pictures(batches)
    assert not np.array_equal(first[0], second[0])
    resumed = _training(discs)
    resumed.start(1)
    assert all(map(np.array_equal, second, _pictures(resumed)))


def test_a_sample_is_what_the_shared_rules_say(discs):
    batches = _training(discs)
    batches.start(4)
    pictures, masks = batches[1]
    number = int(epoch_order(1, 4, 24)[5])
    frames = Frames(discs, discs.split("train"))
    picture, mask = build_augmentation("warp", 32)(*frames[number], generator(1, 4, number))
    np.testing.assert_array_equal(pictures[0], normalise(picture))
    np.testing.assert_array_equal(masks[0, ..., 0], mask)
    assert masks.dtype == np.uint8


def test_a_single_last_sample_is_left_out(discs):
    assert [len(pictures) for pictures in _pictures(_training(discs, batch_size=23))] == [23]
    assert len(_training(discs, batch_size=1)) == 24


def test_validation_is_resized_and_nothing_else(discs):
    batches = ValidationBatches(discs, normalise, resolution=32, batch_size=4, workers=2)
    assert [len(batches[number][0]) for number in range(len(batches))] == [4, 2]
    frames = Frames(discs, discs.split("validation"))
    for number in range(6):
        picture, mask = plain_resize(*frames[number], 32)
        pictures, masks = batches[number // 4]
        np.testing.assert_array_equal(pictures[number % 4], normalise(picture))
        np.testing.assert_array_equal(masks[number % 4, ..., 0], mask)
    assert set(np.unique(batches[0][1])) == {0, 1}


@pytest.mark.parametrize("length", [1, 24])
def test_an_epochs_order_is_a_permutation(length):
    assert sorted(epoch_order(3, 7, length)) == list(range(length))
