"""labelme's and COCO's files: regions come out as they were drawn, and what is none is named."""

import base64
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as cocomask

from medseg.datasets import coco, labelme, shapes
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, from_mask, rasterise
from medseg.datasets.shapes import PixelMask
from medseg.errors import MedsegError

SIZE = (40, 30)


def shape(kind, points, **more):
    return {"label": "tibia", "shape_type": kind, "points": points, **more}


def document(*entries, **more):
    content = {"version": "5.5.0", "shapes": list(entries), "imagePath": "..\\x rays\\a b.png", "imageData": None}
    return json.dumps({**content, "imageWidth": 40, "imageHeight": 30, **more}).encode()


def drawn(geometry, size=SIZE):
    if isinstance(geometry, PixelMask):
        mask = np.zeros(size[::-1], np.uint8)
        height, width = geometry.pixels.shape
        mask[geometry.top : geometry.top + height, geometry.left : geometry.left + width] = geometry.pixels
        return mask
    return rasterise(PolygonSet.of([(0, geometry)], size), 1)[0]


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
def test_a_mask_as_a_polygon_draws_exactly_the_mask(height, width, seed, share):
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    if not mask.any():
        with pytest.raises(ValueError, match="empty mask"):
            from_mask(mask)
        return
    np.testing.assert_array_equal(drawn(from_mask(mask), (width, height)), mask)


def test_a_rectangle_as_a_polygon_has_four_corners():
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 7:20] = 1
    assert sorted(map(tuple, np.unique(from_mask(mask), axis=0))) == [(7, 5), (7, 9), (20, 5), (20, 9)]


def test_regions_of_labelme():
    mask = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(np.uint8)
    image = labelme.parse(
        document(
            shape("polygon", [[1, 2], [9, 2], [9, 8]]),
            shape("rectangle", [[9, 8], [3.5, 2]]),
            shape("circle", [[20, 15], [20, 20]]),
            shape("mask", [[30, 4], [35, 7]], mask=png(mask)),
        )
    )
    assert (image.name, image.size, image.faults) == ("a b.png", SIZE, [])
    found = [drawn(geometry) for _, geometry in image.shapes]
    box = np.zeros((30, 40), np.uint8)
    box[2:8, 4:9] = 1  # the centre of column 3 lies at 3.5, on the edge, and belongs to the region at its right
    box[2:8, 3] = 1
    np.testing.assert_array_equal(found[1], box)
    rows, columns = np.mgrid[:30, :40] + 0.5
    np.testing.assert_array_equal(found[2], np.hypot(columns - 20, rows - 15) <= 5)
    np.testing.assert_array_equal(found[3][4:8, 30:36], mask)
    assert {label for label, _ in image.shapes} == {"tibia"}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (shape("point", [[1, 2]]), r"shape 2 \(tibia\): a point has no area; outline"),
        (shape("linestrip", [[1, 2], [3, 4]]), "a linestrip has no area"),
        (shape("cuboid", [[1, 2]]), "a shape of the type 'cuboid'; expected polygon, rectangle, circle or mask"),
        (shape("polygon", [[1, 2], [3, 4], [1, 2]]), "a polygon of 2 distinct"),
        (shape("polygon", [[1, 2], [3, "4"], [5, 6]]), r"\[3, '4'\]\" is not a point"),
        (shape("polygon", None), "a polygon of 0 distinct"),
        (shape("rectangle", [[1, 2]]), "a rectangle has two points"),
        (shape("rectangle", [[1, 2], [1, 8]]), "a box without area"),
        (shape("circle", [[1, 2], [1, 2]]), "an ellipse without area"),
        (shape("circle", [[90, 2], [91, 2]]), "covers no pixel"),
        (shape("mask", [[1, 2], [3, 4]], mask="no"), "not a PNG in base64"),
        (shape("mask", [[38, 2], [41, 4]], mask=png(np.ones((3, 4)))), r"a mask of 4 x 3 pixels at \(38, 2\) leaves"),
        ({"points": []}, "shape 2: has no label"),
        ("text", "shape 2: has no label"),
    ],
)
def test_what_is_no_region_is_named_and_the_rest_is_kept(entry, fault):
    image = labelme.parse(document(shape("polygon", [[1, 2], [9, 2], [9, 8]]), entry))
    assert len(image.shapes) == 1
    (found,) = image.faults
    assert re.search(fault, found), found


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"shapes": 1}', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_file_of_labelme_is_refused(data, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(BadFile):
        labelme.read(path)
    with pytest.raises(BadFile, match="cannot be read"):
        labelme.read(tmp_path / "none.json")


def runs_of(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))) if len(flat) else []
    return np.diff([0, *edges, len(flat)]).tolist()


def packed(mask):
    """The text of run lengths as COCO's own tool writes it."""
    return cocomask.encode(np.asfortranarray(mask))["counts"].decode()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back_packed_and_plain(height, width, seed, share):
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    for counts in (runs_of(mask), packed(mask)):
        np.testing.assert_array_equal(coco.decode(counts, height, width), mask)


def coco_file(folder, **changes):
    mask = np.zeros((30, 40), np.uint8)
    mask[3:9, 5:20] = 1
    content = {
        "images": [
            {"id": 7, "file_name": "left\\a.png", "width": 40, "height": 30},
            {"id": 8, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 3, "name": "tibia"}, {"id": 1, "name": "femur"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[1, 2, 9, 2, 9, 8], [20, 20, 25, 20, 25, 25]]},
            {
                "id": 2, "image_id": 7, "category_id": 3, "iscrowd": 1,
                "segmentation": {"size": [30, 40], "counts": packed(mask)},
            },
            {"id": 3, "image_id": 8, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 4, "image_id": 8, "category_id": 9, "segmentation": [[1, 2, 9, 2, 9, 8]]},
            {"id": 5, "image_id": 8, "category_id": 1, "segmentation": {"size": [10, 10], "counts": [100]}},
        ],
        **changes,
    }  # fmt: skip
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), "utf-8")
    return path, mask


def test_regions_of_coco(tmp_path):
    path, mask = coco_file(tmp_path)
    (first, second), names = coco.read(path)
    assert names == ["tibia", "femur"]
    assert (first.name, first.size, first.faults) == ("left/a.png", SIZE, [])
    assert [label for label, _ in first.shapes] == ["femur", "femur", "tibia"]
    np.testing.assert_array_equal(drawn(first.shapes[2][1]), mask)
    assert second.shapes == []
    assert [fault.partition(": ")[0] for fault in second.faults] == [
        "annotation 3 (femur)", "annotation 4", "annotation 5 (femur)",
    ]  # fmt: skip
    assert "a box alone outlines nothing" in second.faults[0]
    assert "none of the categories" in second.faults[1]
    assert "run lengths of 10 x 10 pixels on a picture of 40 x 30" in second.faults[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 1}]}, "picture 1 has no id or no file_name"),
        ({"images": [{"id": 7, "file_name": "a"}, {"id": 7, "file_name": "b"}]}, "two pictures of the id 7"),
        ({"annotations": [{"image_id": 99}]}, "annotation 1 is of no picture"),
        ({"categories": None}, "is not a COCO file; expected"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path, changes, message):
    with pytest.raises(MedsegError, match=message):
        coco.read(coco_file(tmp_path, **changes)[0])
    (tmp_path / "annotations.json").write_bytes(b"{")
    with pytest.raises(MedsegError, match="not valid JSON"):
        coco.read(tmp_path / "annotations.json")


@pytest.mark.parametrize("counts", ["~", "2", "o", [5, -1, 96], ["5"], [99], None])
def test_run_lengths_that_do_not_add_up_are_refused(counts):
    with pytest.raises(ValueError, match="run lengths"):
        coco.decode(counts, 10, 10)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_a_turned_box_and_a_turned_ellipse_turn_clockwise_as_seen(degrees):
    corners = shapes.rectangle(10, 12, 30, 18, degrees)
    angle = np.radians(degrees)
    np.testing.assert_allclose(corners.mean(axis=0), (20, 15))
    along = corners[1] - corners[0]
    np.testing.assert_allclose(along, (20 * np.cos(angle), 20 * np.sin(angle)), atol=1e-9)  # y points down
    inside = drawn(shapes.ellipse(20, 15, (10, 3), SIZE, degrees))
    rows, columns = np.nonzero(inside)
    direction = np.linalg.svd(np.column_stack([columns - columns.mean(), rows - rows.mean()]))[2][0]
    assert abs(abs(direction @ (np.cos(angle), np.sin(angle))) - 1) < 0.01
    assert abs(inside.sum() - np.pi * 30) < 8
