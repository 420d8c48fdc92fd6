"""Losses against those of segmentation_models, measures against counting by hand."""

import numpy as np
import pytest
import segmentation_models as sm
import tensorflow as tf

from medseg.keras_legacy.training import LOSSES, masks
from medseg.tf_shared.measures import MeanOverPictures

RNG = np.random.default_rng(0)
LOGITS = tf.constant(RNG.normal(0, 1, (3, 16, 16, 1)), tf.float32)
TRUTH = (RNG.random((3, 16, 16, 1)) > 0.7).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "published"),
    [("bce+dice", sm.losses.bce_dice_loss), ("dice", sm.losses.dice_loss), ("bce", sm.losses.binary_crossentropy)],
)
def test_a_loss_is_that_of_segmentation_models(name, published):
    theirs = tf.reduce_mean(published(tf.constant(TRUTH, tf.float32), tf.sigmoid(LOGITS)))
    assert float(LOSSES[name](TRUTH, LOGITS)) == pytest.approx(float(theirs), abs=1e-5)


def test_bce_neither_overflows_nor_clips():
    assert float(LOSSES["bce"](np.ones((1, 2, 2, 1), np.uint8), tf.fill((1, 2, 2, 1), -200.0))) == pytest.approx(200)


def _case(predicted, true):
    logits, truth = np.full((8, 8, 1), -5.0, np.float32), np.zeros((8, 8, 1), np.uint8)
    logits.reshape(-1)[predicted] = 5
    truth.reshape(-1)[true] = 1
    return logits, truth


def test_measures_are_means_over_cases_of_the_foreground_alone():
    half = _case(range(0, 8), range(4, 12))  # tp 4, fp 4, fn 4
    missed = _case([], range(10))
    false_alarm = _case(range(3), [])
    empty = _case([], [])
    dice, iou = MeanOverPictures("dice", masks), MeanOverPictures("iou", masks)
    for batch in ([half, missed], [false_alarm, empty]):
        logits, truth = (np.stack(arrays) for arrays in zip(*batch, strict=True))
        for measure in (dice, iou):
            measure.update_state(truth, tf.constant(logits))
    assert float(dice.result()) == pytest.approx((8 / 16) / 3)  # the empty case is left out
    assert float(iou.result()) == pytest.approx((4 / 12) / 3)
    dice.reset_state()
    dice.update_state(empty[1][None], tf.constant(empty[0][None]))
    assert np.isnan(float(dice.result()))
