import numpy as np
import pytest

from medseg.masks.box import as_pixels, bounding_box


def test_the_box_holds_all_ones():
    mask = np.zeros((6, 9), np.uint8)
    assert bounding_box(mask) is None
    mask[1, 2] = 1
    assert bounding_box(mask) == (slice(1, 2), slice(2, 3))
    mask[4, 7] = 1
    assert bounding_box(mask.astype(bool)) == (slice(1, 5), slice(2, 8))
    assert bounding_box(mask.T) == (slice(2, 8), slice(1, 5))
    assert bounding_box(np.zeros((0, 4), bool)) is None


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2)), "got \\(2, 2\\) of float64"),
        (np.zeros((1, 2, 2), bool), "expected a mask"),
        (np.full((2, 2), 255, np.uint8), "values up to 255"),
    ],
)
def test_what_is_not_a_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        bounding_box(mask)


def test_pixels_share_the_memory_of_the_mask():
    mask = np.zeros((3, 4), bool)
    as_pixels(mask)[1, 1] = 1
    assert mask[1, 1]
