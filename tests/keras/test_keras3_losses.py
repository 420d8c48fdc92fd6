"""Loss, measures and learning rate are those of the published training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from medseg.keras.losses import build_loss, cross_entropy, dice, measures
from medseg.keras.steps import WarmupCosineRestarts, rate

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 5, (3, 8, 6, 1)).astype(np.uint8)
LOGITS = RNG.normal(0, 2, (3, 8, 6, 5)).astype(np.float32)
PROBABILITY = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
PUBLISHED = {"peak": 1e-3, "warmup": 100, "restart_epochs": 300}


def test_the_loss_is_half_cross_entropy_and_half_squared_dice():
    one_hot = np.eye(5)[TRUTH[..., 0]]
    expected_ce = -np.log((PROBABILITY * one_hot).sum(-1)).mean()
    scores = []
    for number in range(5):
        p, t = PROBABILITY[..., number], one_hot[..., number]
        scores.append((2 * (p * t).sum() + 1e-5) / ((p**2).sum() + (t**2).sum() + 1e-5))
    expected_dice = 1 - np.mean(scores)
    assert float(cross_entropy(TRUTH, LOGITS)) == pytest.approx(expected_ce, rel=1e-5)
    assert float(dice(TRUTH, LOGITS)) == pytest.approx(expected_dice, rel=1e-5)
    assert float(build_loss()(TRUTH, LOGITS)) == pytest.approx(0.5 * expected_ce + 0.5 * expected_dice, rel=1e-5)
    assert float(build_loss(0.0, 2.0)(TRUTH, LOGITS)) == pytest.approx(2 * expected_dice, rel=1e-5)
    assert float(cross_entropy(TRUTH, LOGITS)) == pytest.approx(
        float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(TRUTH, LOGITS)), rel=1e-5
    )
    with pytest.raises(ValueError, match="not both 0"):
        build_loss(0.0, 0.0)


def test_a_perfect_prediction_has_no_loss_and_an_absent_class_no_share_in_it():
    truth = np.zeros((1, 4, 4, 1), np.uint8)
    sure = np.full((1, 4, 4, 5), -60, np.float32)
    sure[..., 0] = 60
    assert float(build_loss()(truth, sure)) == pytest.approx(0, abs=1e-6)


def _expected(truth, predicted):
    tp, fp = (truth & predicted).sum(), (~truth & predicted).sum()
    fn, tn = (truth & ~predicted).sum(), (~truth & ~predicted).sum()
    iou = tp / (tp + fp + fn)
    return {"dice": 2 * tp / (2 * tp + fp + fn), "iou": iou, "binary_iou": (iou + tn / (tn + fp + fn)) / 2}


def _measured(*batches):
    found = {}
    for measure in measures():
        for batch in batches:
            measure.update_state(*batch)
        found[measure.name] = float(measure.result())
        measure.reset_state()
        assert not float(measure.result()) > 0
    return found


def test_measures_merge_the_phases_and_are_means_over_pictures_but_for_the_published_one():
    truth, predicted = TRUTH[..., 0] > 0, PROBABILITY[..., 1:].sum(-1) > 0.5
    single = [_expected(*pair) for pair in zip(truth, predicted, strict=True)]
    expected = {name: np.mean([one[name] for one in single]) for name in ("dice", "iou")}
    expected["binary_iou"] = _expected(truth, predicted)["binary_iou"]  # of the pixels of all pictures
    assert _measured((TRUTH[:1], LOGITS[:1]), (TRUTH[1:], LOGITS[1:])) == pytest.approx(expected, abs=1e-12)
    # A phase mistaken for another is a lesion found.
    confused = np.roll(np.eye(5, dtype=np.float32), 1, axis=1)[TRUTH[..., 0]] * 50
    confused[TRUTH[..., 0] == 4] = [0, 50, 0, 0, 0]
    confused[TRUTH[..., 0] == 0] = [50, 0, 0, 0, 0]
    assert _measured((TRUTH, confused))["iou"] == 1


def test_the_ious_are_those_of_keras():
    lesion = 1 - PROBABILITY[..., 0]
    published = keras.metrics.BinaryIoU(target_class_ids=(0, 1), threshold=0.5)
    published.update_state(TRUTH[..., 0] > 0, lesion)
    assert _measured((TRUTH, LOGITS))["binary_iou"] == pytest.approx(float(published.result()), abs=1e-6)
    own = keras.metrics.BinaryIoU(target_class_ids=(1,), threshold=0.5)
    own.update_state(TRUTH[:1, ..., 0] > 0, lesion[:1])
    assert _measured((TRUTH[:1], LOGITS[:1]))["iou"] == pytest.approx(float(own.result()), abs=1e-6)


def test_where_no_lesion_is_and_none_is_predicted_nothing_is_measured():
    empty, none = np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 5), np.float32)
    none[..., 0] = 50
    found = _measured((empty, none))
    assert math.isnan(found["iou"])
    assert math.isnan(found["dice"])
    assert found["binary_iou"] == 1
    # Such a picture leaves the mean of the others as it is.
    with_others = _measured((empty, none), (TRUTH, LOGITS))
    assert with_others["iou"] == _measured((TRUTH, LOGITS))["iou"]


def test_the_published_learning_rate_is_reproduced():
    at = np.array([float(rate(epoch, **PUBLISHED)) for epoch in range(0, 2191)])
    assert at[0] == 0
    assert at[50] == pytest.approx(5e-4)
    peaks = [epoch for epoch in range(1, 2190) if at[epoch] > max(at[epoch - 1], at[epoch + 1])]
    assert peaks == [100, 400, 700, 1000, 1300, 1600, 1900]
    np.testing.assert_allclose(at[peaks], 1e-3, rtol=1e-5)
    for before in (400, 700, 1000, 1300, 1600, 1900):
        assert at[before - 1] < 1e-3 * 3e-5
        assert float(rate(before - 0.01, **PUBLISHED)) < 1e-8
    assert at[250] == pytest.approx(5e-4)
    restarts = keras.optimizers.schedules.CosineDecayRestarts(1e-3, 300, t_mul=1.0, m_mul=1.0, alpha=0.0)
    theirs = [float(restarts(epoch - 100)) for epoch in range(100, 400, 7)]
    np.testing.assert_allclose(at[100:400:7], theirs, rtol=1e-4, atol=1e-9)


def test_periods_may_grow():
    growing = {"peak": 1e-3, "warmup": 2, "restart_epochs": 3, "restart_factor": 2}
    at = np.array([float(rate(epoch, **growing)) for epoch in range(48)])
    peaks = [epoch for epoch in range(1, 47) if at[epoch] > max(at[epoch - 1], at[epoch + 1])]
    assert peaks == [2, 5, 11, 23]  # periods of 3, 6, 12 and 24 epochs
    np.testing.assert_allclose(at[peaks], 1e-3, rtol=1e-5)
    restarts = keras.optimizers.schedules.CosineDecayRestarts(1e-3, 3, t_mul=2.0, m_mul=1.0, alpha=0.0)
    between = [epoch for epoch in range(2, 47) if epoch not in peaks]
    np.testing.assert_allclose(at[between], [float(restarts(epoch - 2)) for epoch in between], rtol=1e-4, atol=1e-9)


def test_the_schedule_goes_by_epochs_whatever_their_number_of_steps():
    schedule = WarmupCosineRestarts(4, **PUBLISHED)
    for step in (0, 1, 399, 400, 402, 1599, 1600):
        assert float(schedule(step)) == pytest.approx(float(rate(step / 4, **PUBLISHED)))
    optimizer = keras.optimizers.SGD(schedule)
    optimizer.build([keras.Variable(1.0)])
    optimizer.iterations.assign(200)
    assert float(tf.convert_to_tensor(optimizer.learning_rate)) == pytest.approx(5e-4)
    assert float(rate(0, peak=1e-3, warmup=0, restart_epochs=5)) == pytest.approx(1e-3)
