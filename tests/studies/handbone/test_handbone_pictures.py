import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.datasets.polygons import PolygonSet, rasterise
from medseg.studies.handbone.pictures import Window, cropped, window_around


@given(st.integers(0, 2**32), st.integers(0, 25), st.integers(0, 25), st.integers(1, 30))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_masks_of_a_crop_are_crops_of_the_masks(seed, left, top, side):
    rng = np.random.default_rng(seed)
    shapes = [(k % 3, rng.uniform(-20, 70, (rng.integers(3, 12), 2))) for k in range(4)]  # they cross themselves
    polygons = PolygonSet.of(shapes, (60, 55))
    part = cropped(polygons, Window(left, top, side))
    assert part.size == (side, side)
    assert part.points.size == 0 or (part.points.min() >= 0 and part.points.max() <= side)
    expected = rasterise(polygons, 3)[:, top : top + side, left : left + side]
    np.testing.assert_array_equal(rasterise(part, 3), expected)
    assert len(part.classes) <= 4
    assert set(part.classes.tolist()) >= set(np.flatnonzero(expected.any(axis=(1, 2))).tolist())


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


@pytest.mark.parametrize(
    ("bones", "margin", "expected"),
    [
        ([box(40, 50, 50, 70)], 0, Window(35, 50, 20)),
        ([box(40, 50, 50, 70)], 0.5, Window(25, 40, 40)),
        ([box(40, 50, 50, 60), box(40, 60, 50, 70)], 0.5, Window(25, 40, 40)),  # two polygons, one bone
        ([box(2, 50, 12, 70)], 0.5, Window(0, 40, 40)),  # moved into the picture
        ([box(90, 70, 98, 78)], 0.5, Window(84, 64, 16)),
        ([box(95, 70, 140, 78)], 0.5, Window(84, 64, 16)),  # only what lies in the picture counts: 5 x 8 pixels
        ([box(40, 20, 50, 60)], 3, Window(5, 0, 80)),  # never longer than the shorter side
    ],
)
def test_the_window_is_a_square_around_the_bone_and_within_the_picture(bones, margin, expected):
    polygons = PolygonSet.of([(0, box(0, 0, 100, 80)), *((1, bone) for bone in bones)], (100, 80))
    assert window_around(polygons, 1, margin) == expected
    assert window_around(polygons, 2, margin) is None
