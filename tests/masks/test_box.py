import numpy as np
import pytest

from medseg.masks.box import as_pixels, bounding_box


def test_the_box_holds_the_ones_of_all_masks_together():
    first, second, empty = (np.zeros((6, 9), np.uint8) for _ in range(3))
    first[1, 2] = second[4, 7] = 1
    assert bounding_box(first) == (slice(1, 2), slice(2, 3))
    assert bounding_box(first.astype(bool), empty, second) == (slice(1, 5), slice(2, 8))
    assert bounding_box(first.T, second.T) == (slice(2, 8), slice(1, 5))
    assert bounding_box(empty, empty) is None
    assert bounding_box(np.zeros((0, 4), bool)) is None


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.zeros((2, 2)), np.zeros((2, 2))], "got \\(2, 2\\) of float64"),
        ([np.zeros((1, 2, 2), bool)], "expected a mask"),
        ([np.zeros((2, 2), bool), np.zeros((2, 3), bool)], "one shape, got \\(2, 2\\), \\(2, 3\\)"),
        ([np.full((2, 2), 255, np.uint8)], "values up to 255"),
    ],
)
def test_what_is_not_a_mask_is_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        bounding_box(*masks)


def test_pixels_share_the_memory_of_the_mask():
    mask = np.zeros((3, 4), bool)
    as_pixels(mask)[1, 1] = 1
    assert mask[1, 1]
