import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medseg.datasets import index, polygons
from medseg.datasets.frames import read_polygons
from medseg.errors import MedsegError
from medseg.studies.handbone import prepare as handbone
from medseg.studies.handbone.bones import CLASSES
from phantoms.handbone import sample as hand

SIZE = (48, 40)  # width, height


def square(number: int, side=4) -> list[list[int]]:
    """Bone ``number`` has a place of its own."""
    x, y = 6 * (number % 8), 8 * (number // 8)
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def bones(names=CLASSES) -> list[dict]:
    return [
        {"id": f"a{place}", "type": "poly_seg", "attributes": {}, "points": square(CLASSES.index(name)), "label": name}
        for place, name in enumerate(names)
    ]


def write_image(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = np.random.default_rng(len(str(path))).integers(0, 256, SIZE[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_label(path: Path, annotations: list, size=SIZE, encoding="utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"annotations": annotations, "metadata": {"width": size[0], "height": size[1]}, "last_workers": "김"}
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    return path


def write_case(root: Path, patient: str, name: str, annotations=None, **options) -> None:
    write_image(root / "DCM" / patient / f"{name}.png")
    write_label(root / "outputs_json" / patient / f"{name}.json", annotations or bones(), **options)


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "raw"
    for patient in range(1, 7):
        for name in ("image1.a_b", "image2.a_b"):
            write_case(root, f"ID{patient:03d}", name, bones(("finger-1", "Radius")))
    return root


def rejected(data: index.PreparedDataset) -> dict[str, str]:
    table = pd.read_csv(data.folder / "rejected.csv", keep_default_na=False)
    assert len(table) == data.info["rejected"]
    return dict(zip(table["file"], table["reason"], strict=True))


def test_the_prepared_dataset_is_as_agreed(tmp_path):
    root = tmp_path / "raw" / "train"
    for patient in range(1, 6):
        write_case(root, f"ID{patient:03d}", "image10_R")
        write_case(root, f"ID{patient:03d}", "image9.x_L")
    (tmp_path / "raw" / "meta_data.csv").write_text(
        "ID,나이,성별,체중(몸무게),키(신장),Unnamed: 5\n1,44,남,90.3,174.7,\nID0002,31,여,52,160,x\n77,1,여,9,70,\n",
        "utf-8",
    )
    calls = []
    data = handbone.prepare(
        tmp_path / "raw", tmp_path / "out", progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(i, 10) for i in range(1, 11)]
    assert data.info["study"] == "handbone"
    assert (data.info["label_format"], data.info["folds"]) == ("polygons", 5)
    assert tuple(data.info["classes"]) == CLASSES
    assert list(data.index.columns) == [
        *index.COLUMNS, "image_name", "side", "sex", "age", "weight", "height", "width_px", "height_px",
    ]  # fmt: skip
    table = data.index.set_index("case_id")
    first = table.loc["ID001-image9.x_L"]
    assert (first.image, first.label) == ("images/ID001-image9.x_L.png", "polygons/ID001-image9.x_L.json")
    assert (first.group, first.image_name, first.side) == ("ID001", "image9.x_L.png", "L")
    assert [first.sex, *map(float, first[["age", "weight", "height"]])] == ["M", 44, 90.3, 174.7]
    assert list(table.loc["ID003-image10_R", ["side", "sex", "age", "weight", "height"]]) == ["R", "", "", "", ""]
    assert (first.width_px, first.height_px) == SIZE
    assert dict(zip(table["fold"], zip(table["split"], table["test_set"], strict=True), strict=True)) == {
        0: ("test", "fold-0"), 1: ("validation", ""), **dict.fromkeys((2, 3, 4), ("train", "")),
    }  # fmt: skip
    assert (table.groupby("fold")["group"].nunique() == 1).all()
    told = data.info["metadata"]
    assert (told["file"], told["not_in_table"], told["without_picture"]) == (
        "meta_data.csv",
        ["ID003", "ID004", "ID005"],
        1,
    )
    assert data.info["incomplete"] == {}
    assert rejected(data) == {}
    assert data.path(first.image).read_bytes() == (root / "DCM" / "ID001" / "image9.x_L.png").read_bytes()
    _, outlines = read_polygons(data, first)
    np.testing.assert_array_equal(outlines.points.reshape(29, 4, 2), [square(k) for k in range(29)])
    assert outlines.classes.tolist() == list(range(29))


def test_files_that_cannot_be_used_are_left_out_with_their_reason(source, tmp_path):
    pictures, labels = source / "DCM", source / "outputs_json"
    name = "image1.a_b"
    (labels / "ID001" / f"{name}.json").write_text('{"annotations": [')
    (labels / "ID002" / f"{name}.json").unlink()
    (pictures / "ID003" / f"{name}.png").unlink()
    picture = pictures / "ID004" / f"{name}.png"
    picture.write_bytes(picture.read_bytes()[:100])
    write_label(labels / "ID005" / f"{name}.json", bones(), size=SIZE[::-1])
    write_label(labels / "ID006" / f"{name}.json", [])
    write_label(labels / "ID007" / "a.json", [{"label": "Ulnar", "points": square(0)}])
    write_image(pictures / "ID007" / "a.png")
    write_image(pictures / "ID007" / "b.jpg")
    (labels / "ID008").mkdir()
    for stem, text in (("a", "[]"), ("b", "[" * 100_000), ("c", '{"annotations": {}}')):
        (labels / "ID008" / f"{stem}.json").write_text(text)
        write_image(pictures / "ID008" / f"{stem}.png")
    write_image(pictures / "stray.png")
    data = handbone.prepare(source, tmp_path / "out")
    expected = {
        f"outputs_json/ID001/{name}.json": "broken JSON: Expecting value",
        f"DCM/ID002/{name}.png": "image without label",
        f"outputs_json/ID003/{name}.json": "label without image",
        f"DCM/ID004/{name}.png": "damaged or truncated",
        f"outputs_json/ID005/{name}.json": "made on a picture of 40 x 48 pixels, this one has 48 x 40",
        f"outputs_json/ID006/{name}.json": "holds no annotation",
        "outputs_json/ID007/a.json: annotation 0 (Ulnar)": "'Ulnar' is none of the 29 bones; the nearest is Ulna",
        "outputs_json/ID007/a.json": "none of its annotations can be used",
        "DCM/ID007/b.jpg": "not a file with the extension .png",
        "outputs_json/ID008/a.json": "holds no list of annotations",
        "outputs_json/ID008/b.json": "broken JSON",
        "outputs_json/ID008/c.json": "holds no list of annotations",
        "DCM/stray.png": "outside the patients' folders",
    }
    found = rejected(data)
    assert set(found) == set(expected)
    assert all(expected[file] in found[file] for file in expected)
    assert sorted(data.index["case_id"]) == [f"ID{k:03d}-image2.a_b" for k in range(1, 7)]
    assert sorted(path.name for path in (data.folder / "images").iterdir()) == sorted(
        f"{case}.png" for case in data.index["case_id"]
    )


def test_a_bad_annotation_does_not_cost_the_others(source, tmp_path):
    bad = [
        {"label": "Trapezuim", "points": square(5)},
        {"label": "Ulna", "points": [[1, 1], [5, 5], [1, 1]]},
        {"label": "Ulna", "points": [[50, 1], [60, 1], [60, 9]]},
        {"label": "Ulna", "points": [[1, 1], [5, float("nan")], [1, 9]]},
        {"label": "Ulna", "points": [[1, 1], ["5", 5], [1, 9]]},
        {"label": "Ulna", "points": "1,1"},
        {"points": square(5)},
        "Ulna",
        {"label": "Ulna", "points": [[1, 1], [9, 1.2], [17, 1.4]]},
    ]
    write_case(
        source, "ID001", "image1.a_b", [*bones(("Lunate",)), *bad, *bones(("Ulna", "Radius")), *bones(("Ulna",))]
    )
    data = handbone.prepare(source, tmp_path / "out")
    file = "outputs_json/ID001/image1.a_b.json: annotation"
    expected = {
        f"{file} 1 (Trapezuim)": "none of the 29 bones; the nearest is Trapezium",
        f"{file} 2 (Ulna)": "has 3 point(s), 2 different; a polygon needs at least three",
        f"{file} 3 (Ulna)": "lies wholly outside the picture: x 50 to 60",
        f"{file} 4 (Ulna)": "point 1 is [5, nan], expected two finite numbers",
        f"{file} 5 (Ulna)": "point 1 is ['5', 5], expected two finite numbers",
        f"{file} 6 (Ulna)": "has no list of points",
        f"{file} 7": "has no label",
        f"{file} 8": "has no label",
        f"{file} 9 (Ulna)": "covers no pixel",
    }
    found = rejected(data)
    assert set(found) == set(expected)
    assert all(expected[place] in found[place] for place in expected)
    row = data.index.set_index("case_id").loc["ID001-image1.a_b"]
    _, outlines = read_polygons(data, row)
    assert [CLASSES[k] for k in outlines.classes] == ["Lunate", "Ulna", "Radius", "Ulna"]
    absent = data.info["incomplete"]["ID001-image1.a_b"]
    assert len(absent) == 26
    assert not {"Lunate", "Ulna", "Radius"} & set(absent)


def test_two_polygons_of_a_bone_are_both_kept_and_points_may_lie_outside(source, tmp_path):
    jutting = [[40, 30], [60.25, 30], [60.25, 50], [40, 50]]
    parts = [{"label": "Ulna", "points": square(0)}, {"label": "Ulna", "points": jutting}]
    write_case(source, "ID001", "image1.a_b", parts)
    data = handbone.prepare(source, tmp_path / "out")
    _, outlines = read_polygons(data, data.index.set_index("case_id").loc["ID001-image1.a_b"])
    np.testing.assert_array_equal(outlines.points, [*square(0), *jutting])
    mask = polygons.draw_class(outlines, CLASSES.index("Ulna"))
    assert mask.sum() == 16 + 8 * 10
    assert mask[0, 0] == mask[3, 3] == mask[30, 40] == mask[39, 47] == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949", "utf-16"])
def test_labels_of_any_common_encoding_are_read(source, tmp_path, encoding):
    write_case(source, "ID001", "image1.a_b", encoding=encoding)
    data = handbone.prepare(source, tmp_path / "out")
    assert rejected(data) == {}
    assert "ID001-image1.a_b" not in data.info["incomplete"]


def test_sides_come_from_names_else_from_the_order_of_two_pictures(source, tmp_path):
    names = {
        "ID001": {"image1.a_b": "R", "image2.a_b": "L"},
        "ID011": {"image9": "R", "image10": "L"},  # in natural order
        "ID012": {"image1_l": "L", "image2_R": "R"},
        "ID013": {"image1": "L", "image2_R": "R"},  # the other hand
        "ID014": {"image1": "", "image2": "", "image3_L": "L"},
        "ID015": {"image1": ""},
        "ID016": {"image1_Rx": "R", "image2_R_": "L"},
    }
    for patient in list(names)[1:]:
        for name in names[patient]:
            write_case(source, patient, name)
    data = handbone.prepare(source, tmp_path / "out")
    side = data.index.set_index("case_id")["side"]
    assert {patient: {name: side[f"{patient}-{name}"] for name in known} for patient, known in names.items()} == names
    assert {k: v for k, v in data.info["sides"].items() if k != "rule"} == {"R": 10, "L": 11, "unknown": 3}


def test_a_picture_without_label_still_counts_for_the_order(source, tmp_path):
    (source / "outputs_json" / "ID001" / "image1.a_b.json").unlink()
    data = handbone.prepare(source, tmp_path / "out")
    assert data.index.set_index("case_id")["side"]["ID001-image2.a_b"] == "L"


def test_folders_of_one_patient_are_one_group_and_names_that_meet_are_kept_apart(source, tmp_path):
    write_case(source, "ID1", "later")
    write_case(source, "ID002-x", "y")
    write_case(source, "ID002", "x-y")
    data = handbone.prepare(source, tmp_path / "out")
    groups = data.index.set_index("case_id")["group"]
    assert groups["ID1-later"] == groups["ID001-image1.a_b"]
    assert "would be called ID002-x-y" in rejected(data)["DCM/ID002-x/y.png"]
    assert groups["ID002-x-y"] == "ID002"


def test_pictures_become_8_bit_grey(source, tmp_path):
    wide = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint16)
    colour = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    folder = source / "DCM"
    write_image(folder / "ID001" / "image1.a_b.png", wide)
    write_image(folder / "ID001" / "image2.a_b.png", wide // 16)  # 12 bits
    write_image(folder / "ID002" / "image1.a_b.png", colour)
    Image.fromarray(colour[..., 0]).convert("LA").save(folder / "ID002" / "image2.a_b.png")
    data = handbone.prepare(source, tmp_path / "out")
    pictures = {row.case_id: Image.open(data.path(row.image)) for row in data.index.itertuples()}
    assert {(p.mode, p.format) for p in pictures.values()} == {("L", "PNG")}
    assert data.info["converted_pictures"] == 4
    read = {case: np.asarray(picture) for case, picture in pictures.items()}
    np.testing.assert_allclose(read["ID001-image1.a_b"], wide / 257, atol=0.5)
    np.testing.assert_allclose(read["ID001-image2.a_b"], wide / 257, atol=1.1)
    np.testing.assert_array_equal(read["ID002-image1.a_b"], cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY))
    np.testing.assert_array_equal(read["ID002-image2.a_b"], colour[..., 0])


def test_a_crop_shows_one_bone_and_its_neighbours(source, tmp_path):
    write_case(source, "ID001", "image1.a_b")
    write_case(source, "ID002", "image1.a_b", bones(("Pisiform", "Ulna")))
    write_case(source, "ID003", "image1.a_b", bones(("Pisiform",)))
    options = {"crop": "Pisiform", "crop_margin": 1.0, "folds": 3}
    data = handbone.prepare(source, tmp_path / "out", **options)
    assert data.info["name"] == "handbone-Pisiform"
    assert data.info["crop"] == {"class": "Pisiform", "margin": 1.0}
    assert len(data.index) == 3
    assert rejected(data)["outputs_json/ID004/image1.a_b.json"] == "Pisiform, around which is cropped, is not outlined"
    row = data.index.iloc[0]
    assert (row.width_px, row.height_px, row.crop_left, row.crop_top) == (12, 12, 8, 20)
    picture, outlines = read_polygons(data, row)
    original = np.asarray(Image.open(source / "DCM" / "ID001" / "image1.a_b.png"))
    np.testing.assert_array_equal(picture, original[20:32, 8:20])
    shapes = [(k, square(k)) for k in range(29)]
    whole = polygons.rasterise(polygons.PolygonSet.of(shapes, SIZE), 29)
    np.testing.assert_array_equal(polygons.rasterise(outlines, 29), whole[:, 20:32, 8:20])
    assert set(data.info["incomplete"]) == {"ID002-image1.a_b", "ID003-image1.a_b"}  # the whole picture counts
    with pytest.raises(
        MedsegError,
        match="no 'pisiforme' to crop around: it is none of the 29 bones; the nearest is Pisiform. They are",
    ):
        handbone.prepare(source, tmp_path / "out", crop="pisiforme")
    with pytest.raises(MedsegError, match="margin of the crop is -1"):
        handbone.prepare(source, tmp_path / "out", crop="Ulna", crop_margin=-1)


def test_the_same_input_gives_the_same_bytes_whatever_the_order_of_listing(source, tmp_path, monkeypatch):
    write_case(source, "ID001", "image3", [{"label": "x", "points": []}, *bones(("Ulna",))])
    first = handbone.prepare(source, tmp_path / "a")
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listed(self))))
    second = handbone.prepare(source, tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert (first.folder / "rejected.csv").read_bytes() == (second.folder / "rejected.csv").read_bytes()
    other = handbone.prepare(source, tmp_path / "c", seed=1)
    assert list(other.index["fold"]) != list(first.index["fold"])


def test_what_makes_no_dataset_is_refused_and_nothing_is_written(source, tmp_path):
    cases = [
        ({"folds": 7}, "7 folds need at least as many groups .patients.; there are 6"),
        ({"folds": 2}, "at least 3 are needed"),
        ({"metadata": tmp_path / "gone.xlsx"}, "The table .*gone.xlsx cannot be read: No such file"),
        ({"corrections": tmp_path / "gone.csv"}, "The corrections .*gone.csv cannot be read"),
    ]
    for options, message in cases:
        with pytest.raises(MedsegError, match=message):
            handbone.prepare(source, tmp_path / "out", **options)
    with pytest.raises(MedsegError, match=r"raw/DCM holds ID001, .* Expected 'DCM/PATIENT/NAME.png' and"):
        handbone.prepare(source / "DCM", tmp_path / "out")
    with pytest.raises(MedsegError, match="does not exist. Expected 'DCM"):
        handbone.prepare(source / "none", tmp_path / "out")
    with pytest.raises(MedsegError, match="lie in one another"):
        handbone.prepare(source, source / "prepared")
    assert not (tmp_path / "out").exists()


def test_the_sample_is_prepared_with_all_its_oddities(tmp_path):
    raw = hand.write_hand_sample(tmp_path / "raw", patients=6, size=128)
    data = handbone.prepare(raw, tmp_path / "out", folds=3)
    odd = {oddity.kind: Path(oddity.path) for oddity in hand.sample_oddities()}
    found = rejected(data)
    for fault in hand.sample_faults():
        assert fault.path in found
    unknown = [place for place in found if place.startswith(f"{odd['unknown label'].as_posix()}: annotation")]
    assert len(found) == len(hand.sample_faults()) + len(unknown) == 4
    table = data.index.set_index("case_id")
    two, missing = (f"{odd[kind].parent.name}-{odd[kind].stem}" for kind in ("two polygons", "missing class"))
    _, outlines = read_polygons(data, table.loc[two])
    assert sorted(np.bincount(outlines.classes, minlength=29)) == [1] * 28 + [2]
    assert data.info["incomplete"] == {missing: ["Pisiform"]}
    assert data.info["metadata"]["not_in_table"] == [odd["patient not in the table"].name]
    named = odd["side in the name"]
    assert table.loc[f"{named.parent.name}-{named.stem}", "side"] == named.stem[-1]
    assert set(table["side"]) == {"L", "R"}
    assert (table.groupby("group")["side"].nunique() == 2).all()


def test_a_picture_of_two_patients_is_named_and_can_be_left_out_of_the_later_fold(source, tmp_path):
    pictures = sorted((source / "DCM").rglob("*.png"))
    for number, path in enumerate(pictures):
        write_image(path, np.random.default_rng(90 + min(number, 10)).integers(0, 256, SIZE[::-1], dtype=np.uint8))
    write_image(pictures[0], np.random.default_rng(100).integers(0, 256, SIZE[::-1], dtype=np.uint8))
    write_label(source / "outputs_json" / "ID001" / f"{pictures[0].stem}.json", bones(("finger-1",)))
    named = handbone.prepare(source, tmp_path / "named", folds=3)
    twins = {"ID001-image1.a_b", "ID006-image1.a_b", "ID006-image2.a_b"}
    assert {case for entry in named.info["duplicates"] for case in (entry["first"], entry["second"])} == twins
    assert named.info["identical"] == [["ID006-image1.a_b", "ID006-image2.a_b"]]
    left = handbone.prepare(source, tmp_path / "left", folds=3, drop_duplicates=True)
    gone = set(named.index["case_id"]) - set(left.index["case_id"])
    assert gone in ({"ID001-image1.a_b"}, twins - {"ID001-image1.a_b"})
    assert set(left.info["incomplete"]) == set(left.index["case_id"])
    assert {file for file, reason in rejected(left).items() if "looks the same as" in reason} == {
        f"DCM/{case.partition('-')[0]}/{case.partition('-')[2]}.png" for case in gone
    }
