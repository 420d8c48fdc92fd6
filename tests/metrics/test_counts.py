import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import confusion_matrix

from medseg.metrics.overlap import Counts, confusion_counts

PREDICTION = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.uint8)
TRUTH = np.array([[0, 1, 1, 1], [1, 1, 0, 0]], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_counts_by_hand(dtype):
    counts = confusion_counts(PREDICTION.astype(dtype), TRUTH.astype(dtype))
    assert counts == Counts(tp=2, fp=1, fn=3, tn=2)
    assert all(type(count) is int for count in counts)


def test_masks_of_different_dtype_and_layout_count_alike():
    assert confusion_counts(PREDICTION.astype(bool), np.asfortranarray(TRUTH)) == Counts(2, 1, 3, 2)
    assert confusion_counts(PREDICTION[:, ::2], TRUTH[:, ::2]) == Counts(tp=1, fp=1, fn=1, tn=1)


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_counts_equal_a_confusion_matrix(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    prediction, truth = (data.draw(arrays(bool, shape)) for _ in range(2))
    (tn, fp), (fn, tp) = confusion_matrix(truth.ravel(), prediction.ravel(), labels=[False, True])
    assert confusion_counts(prediction, truth) == (tp, fp, fn, tn)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (PREDICTION, TRUTH[:1], r"one shape, got \(2, 4\) and \(1, 4\)"),
        (PREDICTION[None], TRUTH[None], r"expected two masks \(H, W\)"),
        (PREDICTION * 255, TRUTH, "prediction must hold 0 and 1 only, got values up to 255"),
        (PREDICTION, TRUTH * 2, "truth must hold 0 and 1 only, got values up to 2"),
        (PREDICTION.astype(np.float32), TRUTH, "prediction must be bool or uint8, got float32"),
    ],
)
def test_what_is_not_a_pair_of_masks_is_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(prediction, truth)
