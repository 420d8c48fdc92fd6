import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, draw_class
from medseg.datasets.shapes import PixelMask
from medseg.errors import MedsegError
from medseg.studies.gastric import labels as gastric_labels
from medseg.studies.gastric.issues import parse_issues
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.outputs import dilated, draw

SQUARE = [[2, 2], [8, 2], [8, 6], [2, 6]]


def label(phase=2, *polygons) -> dict:
    annotations = [{"id": i, "polygon": polygon} for i, polygon in enumerate(polygons or [SQUARE])]
    return {"patient": {"name": "견본"}, "image": {"phase_id": phase, "annotations": annotations}}


def data_of(value, encoding="euc-kr") -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(encoding)


@pytest.mark.parametrize(
    ("encoding", "found"), [("euc-kr", "euc-kr"), ("cp949", "euc-kr"), ("utf-8", "utf-8"), ("utf-8-sig", "utf-8")]
)
def test_both_encodings_are_read(encoding, found):
    lesion = gastric_labels.parse(data_of(label(3), encoding))
    assert (lesion.phase, lesion.encoding) == (3, found)
    np.testing.assert_array_equal(lesion.shapes[0], SQUARE)


@pytest.mark.parametrize(
    "polygon", [SQUARE, [{"x": x, "y": y} for x, y in SQUARE], [value for point in SQUARE for value in point]]
)
def test_points_are_pairs_or_objects_or_flat(polygon):
    np.testing.assert_array_equal(gastric_labels.parse(data_of(label(1, polygon))).shapes[0], SQUARE)


def test_no_lesion_is_said_by_a_null_phase_and_an_empty_list():
    value = label(None)
    with pytest.raises(BadFile, match="phase_id is null.*there are 1 annotations"):
        gastric_labels.parse(data_of(value))
    value["image"]["annotations"] = []
    assert gastric_labels.parse(data_of(value)) == Lesion(0, (), "euc-kr")
    value["image"]["phase_id"] = 2
    with pytest.raises(BadFile, match="no polygon: phase_id is 2"):
        gastric_labels.parse(data_of(value))


@pytest.mark.parametrize("phase", [0, 5, -1, True, 2.0, "two", [2], 10**40])
def test_a_phase_is_one_to_four(phase):
    with pytest.raises(BadFile, match="phase_id is"):
        gastric_labels.parse(data_of(label(phase)))


@pytest.mark.parametrize(
    ("polygon", "reason"),
    [
        ([], "polygon 2 has no point"),
        ([[1, 1]], "polygon 2 has only 1 distinct point,"),
        ([[1, 1], [5, 5]], "only 2 distinct points"),
        ([[1, 1], [5, 5], [1, 1], [5, 5]], "only 2 distinct points"),
        ([1, 2, 3], "odd number of coordinates"),
        ([[1, 1], [2], [3, 3]], "is not a point"),
        ([[1, 1], [2, "2"], [3, 3]], "is not a point"),
        ([[1, 1], [2, True], [3, 3]], "is not a point"),
        ([[1, 1], [2, 1e300], [3, 3]], "is not a point"),
        ("1,1 2,2 3,1", "expected a list"),
    ],
)
def test_a_faulty_polygon_is_named(polygon, reason):
    with pytest.raises(BadFile, match=reason):
        gastric_labels.parse(data_of(label(2, SQUARE, polygon)))


def test_each_missing_key_is_named():
    for remove, name in (
        (lambda value: value.pop("image"), "'image' is missing in the file"),
        (lambda value: value["image"].pop("phase_id"), "'phase_id' is missing"),
        (lambda value: value["image"].pop("annotations"), "'annotations' is missing"),
        (lambda value: value["image"]["annotations"][0].pop("polygon"), "'polygon' is missing in annotation 1"),
    ):
        value = label()
        remove(value)
        with pytest.raises(BadFile, match=name):
            gastric_labels.parse(data_of(value))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (data_of(label(), "utf-16"), "neither in EUC-KR nor in UTF-8"),
        (b'{"image": ', "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b'{"image": {"phase_id": NaN}}', "NaN is not a number"),
        (b"[]", "'image' is missing"),
    ],
)
def test_what_is_no_label_is_refused(data, reason):
    with pytest.raises(BadFile, match=reason):
        gastric_labels.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["image", "phase_id", "annotations", "polygon", "x", "y"]), inner, max_size=4)
    ),
    max_leaves=12,
)
nearly = st.builds(
    lambda phase, polygon: label(phase, polygon), st.none() | st.integers(-1, 6) | json_values, json_values
)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=100),
        json_values.map(data_of_any := lambda v: json.dumps(v).encode()),
        nearly.map(data_of_any),
    )
)
def test_whatever_a_label_holds_it_is_refused_or_read_right(data):
    try:
        lesion = gastric_labels.parse(data)
    except MedsegError:
        return
    assert lesion.phase in range(5)
    assert bool(lesion.shapes) == bool(lesion.phase)
    for points in lesion.shapes:
        assert points.shape[1] == 2
        assert np.isfinite(points).all()
        assert len({tuple(point) for point in points}) >= 3
    try:
        drawn = draw(lesion, (12, 9))
    except MedsegError:
        return
    assert set(np.unique(drawn)) <= {0, lesion.phase}


def test_a_pixel_belongs_to_a_polygon_when_its_centre_is_inside():
    size, rng = (23, 17), np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    for _ in range(30):
        points = rng.uniform(-6, 28, (rng.integers(3, 9), 2))
        expected = np.zeros(x.shape, bool)  # ray casting, pixel by pixel
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            crosses = ((y0 <= y) != (y1 <= y)) & (x >= x0 + (y - y0) / (y1 - y0) * (x1 - x0))
            expected ^= crosses
        np.testing.assert_array_equal(draw_class(PolygonSet.of([(0, points)], size), 0) > 0, expected)


def test_a_square_on_the_grid_covers_exactly_its_pixels():
    drawn = draw(Lesion(3, (np.array(SQUARE, float),)), (12, 9))
    expected = np.zeros((9, 12), np.uint8)
    expected[2:6, 2:8] = 3
    np.testing.assert_array_equal(drawn, expected)


def test_overlapping_shapes_are_united():
    square = np.array(SQUARE, float)
    mask = PixelMask(7, 5, np.array([[1, 0], [1, 1]], np.uint8))
    drawn = draw(Lesion(1, (square, square + (3, 1), mask)), (14, 9))
    expected = np.zeros((9, 14), np.uint8)
    expected[2:6, 2:8] = expected[3:7, 5:11] = 1
    expected[5, 7] = expected[6, 7] = expected[6, 8] = 1
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(("shift", "reason"), [((50, 0), "outside the picture"), ((0, -20), "outside the picture")])
def test_a_polygon_outside_the_picture_is_refused(shift, reason):
    with pytest.raises(BadFile, match=reason):
        draw(Lesion(1, (np.array(SQUARE, float) + shift,)), (12, 9))


def test_a_polygon_without_area_is_refused():
    with pytest.raises(BadFile, match="covers no pixel"):
        draw(Lesion(1, (np.array([[1, 1], [5, 5], [9, 9.0]]),)), (12, 12))


def test_the_region_of_interest_reaches_seven_pixels_further():
    mask = np.zeros((40, 40), np.uint8)
    mask[20, 20] = 4
    assert np.argwhere(dilated(mask)).min(axis=0).tolist() == [13, 13]
    assert np.argwhere(dilated(mask)).max(axis=0).tolist() == [27, 27]


def test_an_issue_list_names_files_actions_and_remarks():
    text = 'issue,file,action\n"흐림, 번짐",P001/a,drop\n,P001/b,KEEP\n\nx,P001/c,\n'
    expected = [("P001/a", "drop", "흐림, 번짐"), ("P001/b", "keep", ""), ("P001/c", "drop", "x")]
    for encoding in ("utf-8", "utf-8-sig", "euc-kr"):
        issues = parse_issues(text.encode(encoding), "i.csv")
        assert [(issue.file, issue.action, issue.issue) for issue in issues] == expected
    assert parse_issues(b"file\nP001/a\n", "i.csv")[0].action == "drop"


@pytest.mark.parametrize("comma", [",", ";"])
@pytest.mark.parametrize("heading", ["dataset type,patient,image,assignee,issue", "Dataset_Type,PATIENT,Image,x,Issue"])
def test_the_published_tool_s_issue_list_drops_what_has_an_issue(comma, heading):
    lines = ["train,P001,a.dcm,kim,흐림", "train,P001,b,kim,", "test,P002,x/c.png,,none", "train,P001,a.dcm,lee,번짐"]
    text = "\n".join([heading, *lines, ""]).replace(",", comma)
    for encoding in ("utf-8-sig", "euc-kr"):
        issues = parse_issues(text.encode(encoding), "i.csv")
        assert [(issue.file, issue.action, issue.issue) for issue in issues] == [
            ("P001/a.dcm", "drop", "흐림; 번짐"), ("P001/b", "keep", ""), ("P002/c.png", "drop", "none")
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"patient,image,assignee\na,b,c\n", "columns file,action,issue; or patient,image,issue, as published"),
        (b"patient,image,issue\nP1,,x\n", "row 2: no image is named"),
        (b"", "is empty"),
        (b"name,action\na,drop\n", "has the columns name, action"),
        (b"file,action\na,dorp\n", "row 2: the action is 'dorp'"),
        (b"file,action\n,drop\n", "row 2: no file"),
        (b"file,action\na,drop\na,keep\n", "row 3: 'a' is to be kept and to be dropped"),
        (b'file\n"a\n', "not a valid CSV"),
        ("file\né\n".encode("utf-16"), "neither in UTF-8 nor in EUC-KR"),
    ],
)
def test_a_faulty_issue_list_is_refused(data, message):
    with pytest.raises(MedsegError, match=message):
        parse_issues(data, "i.csv")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=80)
    | st.text('file,action"\n\r dropkeep\0', max_size=80).map(lambda text: ("file,action\n" + text).encode())
)
def test_whatever_an_issue_list_holds_it_is_refused_or_read_right(data):
    try:
        issues = parse_issues(data, "i.csv")
    except MedsegError:
        return
    assert all(issue.file and issue.action in ("drop", "keep") for issue in issues)
