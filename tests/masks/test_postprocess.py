from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from medseg.masks.postprocess import postprocess

fill_holes, largest_component = partial(postprocess, largest=False), partial(postprocess, holes=False)
masks = st.builds(
    np.pad,
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1)),
    st.tuples(*[st.tuples(*[st.integers(0, 2)] * 2)] * 2),
)


def plain_largest(mask):
    """By scipy, whose labels follow the first pixels row by row."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return mask.copy()
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(1, count + 1)]
    areas = [int((labels == label).sum()) for label in range(1, count + 1)]
    best = min(range(count), key=lambda number: (-areas[number], firsts[number]))
    return (labels == best + 1).astype(mask.dtype)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(masks)
@example(np.zeros((3, 4), np.uint8))
@example(np.ones((3, 4), np.uint8))
@example(np.ones((1, 1), np.uint8))
@example(np.zeros((0, 4), np.uint8))
@example(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], np.uint8))  # a hole closed across a corner
@example(np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], np.uint8))  # all four corners set
@example(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.uint8))  # corners empty, cut off by the mask
@example(np.array([[0, 0, 1, 1], [1, 1, 0, 0]], np.uint8))  # one component by a corner
@example(np.array([[0, 0, 0, 1], [1, 0, 0, 0]], np.uint8))  # a tie; row by row, the right one comes first
@example(np.array([[0, 0, 1, 0, 0, 0, 1], [1, 0, 1, 0, 1, 0, 1], [1, 0, 0, 0, 1, 0, 0]], np.uint8))
def test_shapes_are_those_of_scipy_on_the_whole_mask(mask):
    filled = ndimage.binary_fill_holes(mask).astype(np.uint8) if mask.size else mask
    for result, expected in (
        (fill_holes(mask), filled),
        (largest_component(mask), plain_largest(mask)),
        (postprocess(mask), plain_largest(filled)),
        (postprocess(mask, holes=False, largest=False), mask),
    ):
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, expected)
        assert not np.shares_memory(result, mask)


@settings(deadline=None, derandomize=True)
@given(masks)
def test_bool_masks_and_views_come_out_alike(mask):
    before = mask.copy()
    assert postprocess(mask.astype(bool)).dtype == bool
    np.testing.assert_array_equal(postprocess(mask.astype(bool)), postprocess(mask))
    for view in (mask.T, mask[::-1], mask[:, ::2], np.asfortranarray(mask)):
        np.testing.assert_array_equal(postprocess(view), postprocess(view.copy(order="C")))
    np.testing.assert_array_equal(mask, before)


def test_large_noise_with_many_ties_equals_scipy():
    for seed, share in enumerate((0.05, 0.3, 0.6)):
        mask = (np.random.default_rng(seed).random((150, 333)) < share).astype(np.uint8)
        np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
        np.testing.assert_array_equal(largest_component(mask), plain_largest(mask))


def test_holes_are_filled_before_components_are_measured():
    ring = np.zeros((9, 20), np.uint8)
    ring[1:8, 1:8] = 1
    ring[2:7, 2:7] = 0  # 24 pixels, 49 when filled
    ring[1:7, 12:18] = 1  # 36 pixels
    assert postprocess(ring).sum() == 49
    assert postprocess(ring, holes=False).sum() == 36


def test_what_touches_the_border_is_no_hole():
    bay = np.ones((4, 5), np.uint8)
    bay[0, 2] = bay[1, 2] = 0
    np.testing.assert_array_equal(fill_holes(bay), bay)


@pytest.mark.parametrize("mask", [np.zeros((2, 2, 2), bool), np.zeros((2, 2)), np.full((2, 2), 255, np.uint8)])
def test_what_is_not_a_mask_is_refused(mask):
    with pytest.raises(ValueError, match="expected a mask"):
        postprocess(mask)
