import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as OutlinePath

from medseg.datasets.polygons import PolygonSet, draw_class, dump, parse, rasterise, rasterise_bits
from medseg.errors import MedsegError

NAMES = ("finger-1", "finger-2", "Radius")


def centres(width, height):
    """Pixel centres (height * width, 2), row by row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5


def even_odd(points, width, height):
    """The definition: a pixel is inside when a ray from its centre to the right crosses the outline oddly often."""
    x, y = centres(width, height).T
    inside = np.zeros(width * height, bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        inside ^= (y0 <= y) & (y < y1) & (x >= x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside.reshape(height, width)


def blob(rng, centre, radius, corners):
    """A star-shaped, mostly concave polygon (corners, 2)."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return centre + np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.2, 1, (corners, 1)) * radius


@st.composite
def polygon_sets(draw):
    """Up to six polygons of three classes: star-shaped, crossing themselves, outside the picture, degenerate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    shapes = []
    for _ in range(draw(st.integers(0, 6))):
        corners, class_index = draw(st.integers(0, 12)), draw(st.integers(0, 2))
        kind = draw(st.sampled_from(["blob", "scribble", "outside"]))
        centre = rng.uniform(-0.2, 1.2, 2) * size
        if kind == "blob":
            points = blob(rng, centre, rng.uniform(1, 40), corners)
        else:
            points = rng.uniform(-1, 2, (corners, 2)) * size + (3 * np.array(size) if kind == "outside" else 0)
        shapes.append((class_index, points))
    return PolygonSet.of(shapes, size)


@given(polygon_sets())
@settings(max_examples=150, deadline=None)
def test_masks_are_the_union_of_the_even_odd_definition_on_pixel_centres(polygons):
    width, height = polygons.size
    expected = np.zeros((3, height, width), bool)
    for index, points in polygons.outlines():
        if len(points):
            expected[index] |= even_odd(points, width, height)
    masks, bits = rasterise(polygons, 3), rasterise_bits(polygons)
    assert masks.dtype == np.uint8
    assert bits.dtype == np.int32
    np.testing.assert_array_equal(masks, expected)
    for index in range(3):
        np.testing.assert_array_equal(bits >> index & 1, expected[index])
        np.testing.assert_array_equal(draw_class(polygons, index), expected[index])
    assert not (bits >> 3).any()


def test_a_concave_polygon_agrees_with_matplotlib():
    points = blob(np.random.default_rng(1), np.array([48.3, 30.1]), 45, 60)
    mask = draw_class(PolygonSet.of([(0, points)], (100, 70)), 0)
    assert 500 < mask.sum() < 5000
    expected = OutlinePath(points, closed=False).contains_points(centres(100, 70)).reshape(70, 100)
    np.testing.assert_array_equal(mask, expected)


MOVES = {
    "flip left-right": (lambda w, h: ([[-1, 0, w], [0, 1, 0]], (w, h)), lambda m: m[..., ::-1]),
    "flip up-down": (lambda w, h: ([[1, 0, 0], [0, -1, h]], (w, h)), lambda m: m[..., ::-1, :]),
    "rotate 90": (lambda w, h: ([[0, 1, 0], [-1, 0, w]], (h, w)), lambda m: np.rot90(m, 1, (-2, -1))),
    "rotate 180": (lambda w, h: ([[-1, 0, w], [0, -1, h]], (w, h)), lambda m: np.rot90(m, 2, (-2, -1))),
    "rotate 270": (lambda w, h: ([[0, -1, h], [1, 0, 0]], (h, w)), lambda m: np.rot90(m, 3, (-2, -1))),
    "transpose": (lambda w, h: ([[0, 1, 0], [1, 0, 0]], (h, w)), lambda m: m.swapaxes(-2, -1)),
}


@pytest.mark.parametrize("name", MOVES)
@given(polygons=polygon_sets())
@settings(max_examples=60, deadline=None)
def test_flips_and_rotations_of_polygons_are_those_of_the_drawn_mask(name, polygons):
    # The corners are random numbers: a centre exactly on an outline, whose side a flip would change, does not occur.
    of_points, of_pixels = MOVES[name]
    matrix, size = of_points(*polygons.size)
    moved = polygons.transformed(np.array(matrix, float), size)
    np.testing.assert_array_equal(rasterise_bits(moved), of_pixels(rasterise_bits(polygons)))
    np.testing.assert_array_equal(rasterise(moved, 3), of_pixels(rasterise(polygons, 3)))


def test_polygons_with_a_common_edge_through_pixel_centres_neither_overlap_nor_leave_a_gap():
    corners = np.array([[0.5, 0.5], [8.5, 0.5], [8.5, 8.5], [0.5, 8.5]])
    upper, lower = corners[[0, 1, 2]], corners[[0, 2, 3]]
    both, whole = PolygonSet.of([(0, upper), (1, lower)], (10, 10)), PolygonSet.of([(0, corners)], (10, 10))
    np.testing.assert_array_equal(rasterise(both, 2).sum(0), rasterise(whole, 1)[0])
    assert rasterise(whole, 1).sum() == 64  # the centres on the left and upper edge count, the others do not


def test_two_polygons_of_a_class_are_united_and_one_that_crosses_itself_has_a_hole():
    square = np.array([[1.0, 1], [6, 1], [6, 6], [1, 6]])
    united = PolygonSet.of([(0, square), (0, square + 2), (0, square)], (12, 12))
    assert rasterise_bits(united).sum() == 25 + 25 - 9
    assert draw_class(united, 0).sum() == rasterise(united, 1).sum() == 25 + 25 - 9
    ring = np.concatenate([square, square[:1], square[:1] + 1, [[2.0, 5], [5, 5], [5, 2]], square[:1] + 1])
    assert draw_class(PolygonSet.of([(0, ring)], (12, 12)), 0).sum() == 25 - 9


def test_degenerate_and_far_away_polygons_draw_nothing():
    away = np.array([[1e18, 0], [2e18, 0], [1e18, 9.0]])
    shapes = [(0, []), (0, [[3.2, 3.2]]), (1, [[0.1, 0.2], [9.7, 8.1]]), (1, [[1.0, 1], [5, 1], [9, 1]]), (2, away)]
    polygons = PolygonSet.of(shapes, (10, 10))
    assert not rasterise(polygons, 3).any()
    assert not rasterise_bits(polygons).any()
    assert not rasterise_bits(PolygonSet.of([], (4, 3))).any()


def test_a_polygon_around_the_picture_fills_it():
    huge = [[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [-1e12, 1e12]]
    assert rasterise_bits(PolygonSet.of([(30, huge)], (7, 5))).tolist() == [[1 << 30] * 7] * 5


def test_classes_beyond_the_masks_or_the_bits_are_refused():
    polygons = PolygonSet.of([(31, [[0, 0], [2, 0], [2, 2]])], (4, 4))
    with pytest.raises(ValueError, match="0 to 30"):
        rasterise_bits(polygons)
    with pytest.raises(ValueError, match="0 to 28"):
        rasterise(polygons, 29)


@pytest.mark.parametrize("points", [[[0, 0, 0]], [1, 2], [[0, float("nan")]], [[[0, 0]]]])
def test_points_that_are_no_finite_pairs_are_refused(points):
    with pytest.raises(ValueError, match="finite pairs"):
        PolygonSet.of([(0, points)], (4, 4))


@given(polygon_sets())
@settings(max_examples=40, deadline=None)
def test_a_label_file_gives_back_the_same_numbers(polygons):
    read = parse(dump(polygons, NAMES), NAMES)
    assert read.size == polygons.size
    assert read.points.dtype == np.float64
    for field in ("points", "starts", "classes"):
        np.testing.assert_array_equal(getattr(read, field), getattr(polygons, field))


GOOD = {"size": [8, 6], "polygons": [{"class": "Radius", "points": [[0, 0], [4.5, 0], [4, 4]]}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        (json.dumps({"size": [8, 6]}), "there is no 'polygons'"),
        (json.dumps(GOOD | {"size": [8, 0]}), "size must be positive"),
        (json.dumps(GOOD | {"size": [8, 6.5]}), "not two whole numbers"),
        (json.dumps(GOOD | {"polygons": [{"class": "Toe", "points": []}]}), "unknown class 'Toe'"),
        (json.dumps(GOOD | {"polygons": [{"class": "Radius"}]}), "there is no 'points'"),
        (json.dumps(GOOD | {"polygons": [{"class": "Radius", "points": [[1, "a"]]}]}), "could not convert"),
        (json.dumps(GOOD).replace("4.5", "1e999"), "finite pairs"),
    ],
)
def test_a_label_file_of_another_form_is_refused_with_what_was_found(text, found):
    assert parse(json.dumps(GOOD), NAMES).classes.tolist() == [2]
    with pytest.raises(MedsegError, match=found) as refusal:
        parse(text, NAMES, source="polygons/a.json")
    assert str(refusal.value).startswith("polygons/a.json does not hold polygons")
