import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medseg.datasets import cvat, cvat_shapes
from medseg.datasets.shapes import AnnotatedImage, PixelMask
from medseg.errors import MedsegError

LABELS = {"phase-1": "#ff0000", "phase <2> & more": "#00ff00"}


def document(*shapes: str, image: str = 'id="0" name="a.png" width="40" height="30"') -> bytes:
    inside = "".join(shapes)
    return f"<annotations><version>1.1</version><image {image}>{inside}</image></annotations>".encode()


def polygon(points: str, label="phase-1") -> str:
    return f'<polygon label="{label}" points="{points}" occluded="0" z_order="0"></polygon>'


def mask(rle: str, left=3, top=4, width=4, height=2) -> str:
    return f'<mask label="phase-1" rle="{rle}" left="{left}" top="{top}" width="{width}" height="{height}"></mask>'


def only(data: bytes) -> AnnotatedImage:
    (image,) = cvat.parse(data, "a.xml")
    return image


coordinates = st.floats(-100, 1000).map(lambda value: round(value, 3))
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=20, unique=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(polygons, max_size=4), st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)
)
@example([], "a & b <c> \"d\" 'e'.png")
def test_what_goes_out_comes_in_again_within_a_hundredth_of_a_pixel(shapes, name):
    image = AnnotatedImage(name, 40, 30, [("phase <2> & more", np.array(points)) for points in shapes])
    if any(len({(round(x, 2), round(y, 2)) for x, y in points}) < 3 for points in shapes):
        return  # as written, no polygon any more
    text = cvat.dump([image], LABELS, "task")
    again = only(text.encode())
    assert cvat.dump([again], LABELS, "task") == text
    assert (again.width, again.height, again.problem) == (40, 30, "")
    assert again.name == name
    assert [label for label, _ in again.shapes] == ["phase <2> & more"] * len(shapes)
    for points, (_, found) in zip(shapes, again.shapes, strict=True):
        np.testing.assert_allclose(found, points, atol=0.0051)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_mask_goes_out_and_comes_in_again(width, height, seed):
    pixels = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.uint8)
    np.testing.assert_array_equal(cvat_shapes.decode_mask(cvat_shapes.encode_mask(pixels), width, height), pixels)
    image = AnnotatedImage("a", 40, 30, [("phase-1", PixelMask(5, 6, pixels))])
    again = only(cvat.dump([image], LABELS, "task").encode())
    (_, found) = again.shapes[0]
    assert (found.left, found.top) == (5, 6)
    np.testing.assert_array_equal(found.pixels, pixels)


def test_a_mask_counts_zeros_first_and_goes_row_by_row():
    (_, found) = only(document(mask("1, 2, 3, 1, 1"))).shapes[0]
    np.testing.assert_array_equal(found.pixels, [[0, 1, 1, 0], [0, 0, 1, 0]])
    assert cvat_shapes.encode_mask(np.array([[1, 1], [0, 0]], np.uint8)) == "0, 2, 2"


def test_zeros_at_the_end_of_a_mask_may_be_left_out():
    (_, found) = only(document(mask("1,2"))).shapes[0]
    np.testing.assert_array_equal(found.pixels, [[0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (polygon("1,1;2,2"), "2 distinct point"),
        (polygon("1,1;2,2;1,1"), "2 distinct point"),
        (polygon(""), "0 distinct point"),
        (polygon("1,1;2;3,3"), "'2' is not 'x,y'"),
        (polygon("1,1;nan,2;3,3"), "out of all bounds"),
        (polygon("1,1;1e99,2;3,3"), "out of all bounds"),
        ('<polygon points="1,1;2,2;3,1"></polygon>', "without a label"),
        ('<polyline label="phase-1" points="1,1;2,2;3,1"></polyline>', "a <polyline> encloses nothing; draw it as"),
        ('<points label="phase-1" points="1,1;2,2;3,1"></points>', "<points> have no area; draw the region"),
        ('<cuboid label="phase-1" xtl1="1"></cuboid>', "a <cuboid> outlines no region"),
        ('<skeleton label="phase-1"><points></points></skeleton>', "a <skeleton> has no area"),
        ('<blob label="phase-1"></blob>', "a <blob>; expected polygon, box, ellipse or mask"),
        ('<box label="phase-1" xtl="1" ytl="1" xbr="2"></box>', "ybr is missing"),
        ('<box label="phase-1" xtl="1" ytl="1" xbr="1" ybr="2"></box>', "a box without area"),
        ('<box label="phase-1" xtl="1" ytl="1" xbr="x" ybr="2"></box>', "xbr is 'x', not a number"),
        ('<ellipse label="phase-1" cx="1" cy="1" rx="nan" ry="2"></ellipse>', "rx is 'nan', out of all bounds"),
        ('<ellipse label="phase-1" cx="90" cy="1" rx="3" ry="2"></ellipse>', "covers no pixel"),
        (mask("5, 99"), "add up to 104, its box has 4 x 2"),
        (mask("5, -1"), "'-1' is not a whole number"),
        (mask("1, 2", left=38), "does not fit into 40 x 30"),
        (mask("1, 2", width=0), "width is '0'"),
        ('<mask label="phase-1" left="1" top="1" width="2" height="2"></mask>', "without rle"),
    ],
)
def test_a_faulty_shape_is_the_problem_of_its_picture_alone(shape, problem):
    sound = f'<image id="1" name="b.png" width="40" height="30">{polygon("1,1;9,1;9,9")}</image></annotations>'
    data = document(polygon("1,1;9,1;9,9"), shape).replace(b"</annotations>", sound.encode())
    first, second = cvat.parse(data, "a.xml")
    assert problem in first.problem
    assert first.problem.startswith("shape 2")
    assert (second.problem, len(second.shapes)) == ("", 1)


def test_a_picture_without_size_is_a_problem():
    assert "height is missing" in only(document(image='name="a" width="4"')).problem
    assert "width is '4000000'" in only(document(image='name="a" width="4000000" height="4"')).problem


def test_tags_and_attributes_are_passed_over():
    inside = polygon("1,1;9,1;9,9").replace("></polygon>", '><attribute name="sure">yes</attribute></polygon>')
    image = only(document('<tag label="blurred"></tag>', inside))
    assert (image.problem, len(image.shapes)) == ("", 1)


def test_a_box_becomes_its_corners_turned_clockwise_about_the_centre():
    box = '<box label="phase-1" xtl="4" ytl="6" xbr="14" ybr="10" rotation="90.00"></box>'
    plain, turned = (only(document(shape)).shapes[0][1] for shape in (box.replace("90.00", "0"), box))
    np.testing.assert_allclose(plain, [[4, 6], [14, 6], [14, 10], [4, 10]])
    np.testing.assert_allclose(turned, [[11, 3], [11, 13], [7, 13], [7, 3]])  # the upper left is now the upper right


def test_an_ellipse_becomes_the_pixels_whose_centres_it_holds():
    ellipse = '<ellipse label="phase-1" cx="20" cy="15" rx="9" ry="4" rotation="30.00"></ellipse>'
    found = only(document(ellipse)).shapes[0][1]
    drawn = np.zeros((30, 40), bool)
    drawn[found.top :, found.left :][: found.pixels.shape[0], : found.pixels.shape[1]] = found.pixels > 0
    x, y = np.meshgrid(np.arange(40) + 0.5 - 20, np.arange(30) + 0.5 - 15)
    angle = np.radians(30)  # clockwise, as y goes down: the long axis falls to the right
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    np.testing.assert_array_equal(drawn, (along / 9) ** 2 + (across / 4) ** 2 <= 1)
    assert drawn[18, 26]
    assert not drawn[11, 26]


def test_a_shape_of_higher_z_order_comes_later():
    image = only(document(polygon("1,1;9,1;9,9", "top").replace('z_order="0"', 'z_order="2"'), polygon("1,1;9,1;9,5")))
    assert [label for label, _ in image.shapes] == ["top", "phase-1"][::-1]


def video(*tracks: str, meta: str = "<source>P001/gastro.mp4</source>") -> bytes:
    size = "<original_size><width>40</width><height>30</height></original_size>"
    task = f"<meta><task><id>7</id><name>a task</name>{size}{meta}</task></meta>"
    return f"<annotations><version>1.1</version>{task}{''.join(tracks)}</annotations>".encode()


def on(frame: int, outside=0, keyframe=1, right=9) -> str:
    places = f'frame="{frame}" outside="{outside}" keyframe="{keyframe}" occluded="0" z_order="0"'
    return f'<polygon {places} points="1,1;{right},1;{right},9"></polygon>'


def test_a_track_is_a_shape_on_every_frame_that_it_lists_inside():
    one = f'<track id="0" label="phase-1">{on(0)}{on(1, keyframe=0, right=8)}{on(2, outside=1)}</track>'
    two = '<track id="1" label="phase-2"><box frame="1" outside="0" xtl="1" ytl="1" xbr="3" ybr="4"></box></track>'
    images = cvat.parse(video(one, two), "a.xml")
    assert [(i.name, i.size, i.problem) for i in images] == [
        ("P001/gastro-f0001", (40, 30), ""), ("P001/gastro-f0002", (40, 30), "")
    ]  # fmt: skip
    assert [[label for label, _ in image.shapes] for image in images] == [["phase-1"], ["phase-1", "phase-2"]]
    assert images[1].shapes[0][1].max() == 9
    assert images[1].shapes[0][1][:, 0].max() == 8


def test_a_video_without_a_source_has_the_name_of_its_task():
    track = f'<track id="0" label="phase-1">{on(11)}</track>'
    assert [image.name for image in cvat.parse(video(track, meta=""), "a.xml")] == ["a task-f0012"]


def test_frames_of_a_video_that_are_listed_as_pictures_have_its_name_too():
    image = '<image id="3" name="frame_000003" width="40" height="30"></image>'
    assert [image.name for image in cvat.parse(video(image), "a.xml")] == ["P001/gastro-f0004"]
    assert [image.name for image in cvat.parse(video(image, meta=""), "a.xml")] == ["frame_000003"]


def test_tracks_of_a_project_belong_to_their_tasks():
    tasks = "".join(
        f"<task><id>{n}</id><source>v{n}.avi</source><original_size><width>{40 + n}</width><height>30</height>"
        "</original_size></task>"
        for n in (1, 2)
    )
    track = f'<track id="0" task_id="2" label="phase-1">{on(4)}</track>'
    data = f"<annotations><meta><project><tasks>{tasks}</tasks></project></meta>{track}</annotations>".encode()
    assert [(image.name, image.size) for image in cvat.parse(data, "a.xml")] == [("v2-f0005", (42, 30))]


def test_a_faulty_shape_of_a_track_is_the_problem_of_its_frame_alone():
    line = '<polyline frame="3" outside="0" points="1,1;2,2"></polyline>'
    lost = '<box outside="0" xtl="1" ytl="1" xbr="3" ybr="4"></box>'
    images = cvat.parse(video(f'<track id="0" label="phase-1">{on(2)}{line}{lost}</track>'), "a.xml")
    found = {image.name: image.problem for image in images}
    assert found["P001/gastro-f0003"] == ""
    assert "a <polyline> encloses nothing" in found["P001/gastro-f0004"]
    assert "without the number of its frame" in found["P001/gastro.mp4"]


BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]>
<annotations><image name="&c;&d;" width="4" height="4"></image></annotations>"""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BOMB, "has a DOCTYPE"),
        (BOMB.decode().encode("utf-16"), "has a DOCTYPE"),
        (b"", "not well-formed"),
        (b"<annotations>", "not well-formed"),
        (b"<annotations>&unknown;</annotations>", "not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><annotations/>', "not well-formed"),
        (b"<html></html>", "its root is <html>"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(data, message):
    with pytest.raises(MedsegError, match=message):
        cvat.parse(data, "a.xml")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(MedsegError, match="none.xml cannot be read: No such file"):
        cvat.read(tmp_path / "none.xml")


junk = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.builds(
        lambda points, rle, numbers, name: document(
            polygon(points), mask(rle, *numbers), image=f'name="{name}" width="{numbers[0]}" height="{numbers[3]}"'
        ),
        st.text("0123456789.,;-+einfa _", max_size=40),
        st.text("0123456789, -.x", max_size=30),
        st.tuples(*[st.integers(-3, 70000)] * 4),
        st.text("abc/.", max_size=8),
    ),
    st.tuples(st.integers(0, 400), st.integers(0, 255)).map(
        lambda change: (lambda data: data[: change[0]] + bytes([change[1]]) + data[change[0] + 1 :])(
            document(polygon("1,1;9,1;9,9"), mask("1, 2, 3"))
        )
    ),
)


@settings(max_examples=300, deadline=None)
@given(junk)
def test_whatever_the_file_holds_it_is_refused_or_read_right(data):
    try:
        images = cvat.parse(data, "a.xml")
    except MedsegError:
        return
    for image in images:
        if image.problem:
            continue
        assert min(image.width, image.height) >= 1
        for _, shape in image.shapes:
            if isinstance(shape, PixelMask):
                assert shape.left + shape.pixels.shape[1] <= image.width
                assert set(np.unique(shape.pixels)) <= {0, 1}
            else:
                assert np.isfinite(shape).all()
                assert len(shape) >= 3
