import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medseg.metrics.boundary import hd95, surface_dice


def outline(mask):
    """Set pixels with a side neighbour that is not set, pixel by pixel."""
    height, width = mask.shape
    return [
        (i, j)
        for i in range(height)
        for j in range(width)
        if mask[i, j]
        and any(
            not (0 <= i + di < height and 0 <= j + dj < width and mask[i + di, j + dj])
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
    ]


def plain(predicted, truth, tolerance):
    """HD95 and surface Dice by the definitions."""
    a, b = outline(predicted), outline(truth)
    if not a and not b:
        return np.nan, np.nan
    if not a or not b:
        return np.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2), 0.0
    there = [min(np.hypot(i - k, j - m) for k, m in b) for i, j in a]
    back = [min(np.hypot(i - k, j - m) for k, m in a) for i, j in b]
    within = sum(d <= tolerance for d in there + back)
    return max(np.percentile(there, 95), np.percentile(back, 95)), within / (len(a) + len(b))


@st.composite
def pairs(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    return tuple(draw(arrays(bool, shape)) for _ in range(2))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(pairs(), st.sampled_from((0, 1, 1.5, 2)))
@example((np.zeros((3, 4), bool), np.zeros((3, 4), bool)), 1)
@example((np.zeros((3, 4), bool), np.eye(3, 4, dtype=bool)), 1)
@example((np.eye(3, 4, dtype=bool), np.zeros((3, 4), bool)), 1)
@example((np.ones((5, 6), bool), np.ones((5, 6), bool)), 0)
def test_measures_follow_their_definitions(pair, tolerance):
    distance, share = plain(*pair, tolerance)
    np.testing.assert_allclose(hd95(*pair), distance, rtol=1e-12)
    np.testing.assert_allclose(surface_dice(*pair, tolerance), share, rtol=1e-12)
    as_evaluated = pair[0], pair[1].astype(np.uint8)
    np.testing.assert_array_equal(hd95(*as_evaluated), hd95(*pair))
    transposed = [mask.T for mask in pair]
    np.testing.assert_allclose(surface_dice(*transposed, tolerance), share, rtol=1e-12)


def disks(size=200):
    y, x = np.mgrid[:size, :size]
    return (x - 80) ** 2 + (y - 90) ** 2 < 50**2, (x - 87) ** 2 + (y - 90) ** 2 < 50**2


def test_a_shifted_disk_by_hand():
    first, second = disks()
    assert 6.5 < hd95(first, second) <= 7
    assert surface_dice(first, second, 7) == 1
    assert surface_dice(first, second, 0) < 0.2
    assert hd95(first, first) == 0
    assert surface_dice(first, first, 0) == 1


def test_the_worse_direction_counts():
    truth = np.zeros((30, 100), bool)
    truth[10:20, 5:15] = True
    predicted = truth.copy()
    predicted[10:20, 80:90] = True  # half of the prediction is far off, all of the truth is found
    assert hd95(predicted, truth) == hd95(truth, predicted) > 70


def test_a_stray_pixel_hardly_counts():
    truth = disks()[0]
    predicted = truth.copy()
    predicted[199, 199] = True
    assert hd95(predicted, truth) == 0
    assert 0.99 < surface_dice(predicted, truth, 0) < 1


def test_a_miss_counts_with_the_diagonal_of_the_picture():
    truth = np.zeros((30, 40), np.uint8)
    truth[3, 4] = 1
    for pair in ((truth, 0 * truth), (0 * truth, truth)):
        assert hd95(*pair) == 50
        assert surface_dice(*pair, 100) == 0
    assert np.isnan(hd95(0 * truth, 0 * truth))
    assert np.isnan(surface_dice(0 * truth, 0 * truth, 1))


def test_wrong_arguments_are_refused():
    mask = np.ones((3, 4), bool)
    with pytest.raises(ValueError, match="one shape"):
        hd95(mask, mask.T)
    with pytest.raises(ValueError, match="values up to 255"):
        surface_dice(mask, mask * np.uint8(255), 1)
    for tolerance in (-1, float("nan")):
        with pytest.raises(ValueError, match="tolerance"):
            surface_dice(mask, mask, tolerance)
