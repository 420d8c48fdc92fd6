"""Classes per image."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from medseg.errors import MedsegError
from medseg.metrics.classification import class_of_mask, classify


def test_a_small_case_by_hand():
    found = classify([0, 0, 1, 1], [0, 1, 1, 1], 2)
    assert found.accuracy == 0.75
    assert found.recall == pytest.approx((0.5 + 1) / 2)
    assert found.precision == pytest.approx((1 + 2 / 3) / 2)
    assert found.f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert found.matrix.tolist() == [[1, 1], [0, 2]]


def test_measures_are_those_of_scikit_learn_where_every_class_occurs():
    rng = np.random.default_rng(0)
    true, predicted = np.r_[0:5, rng.integers(0, 5, 60)], np.r_[0:5, rng.integers(0, 5, 60)]
    found = classify(true, predicted, 5)
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="macro")
    assert found[:4] == pytest.approx((accuracy_score(true, predicted), recall, precision, f1))


def test_a_class_never_named_costs_precision_and_an_absent_one_nothing():
    found = classify([1, 1, 2], [1, 1, 1], 5)
    assert found.recall == pytest.approx(0.5)
    assert found.precision == pytest.approx((2 / 3 + 0) / 2)


def test_no_image_is_an_error():
    with pytest.raises(MedsegError, match="no image"):
        classify([], [], 5)
    with pytest.raises(ValueError, match="0 to 4"):
        classify([5], [1], 5)


def test_an_image_has_the_class_of_most_lesion_pixels():
    mask = np.zeros((4, 4), np.uint8)
    assert class_of_mask(mask, 5) == 0
    mask[0, :3], mask[1, 0] = 2, 4
    assert class_of_mask(mask, 5) == 2
    mask[1, :3] = 1
    assert class_of_mask(mask, 5) == 1  # a tie with class 2
