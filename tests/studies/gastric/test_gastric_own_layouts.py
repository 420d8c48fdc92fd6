"""Plain pictures with labelme, COCO or CVAT files, or masks of class numbers: all give the same class maps."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medseg.datasets import cvat
from medseg.datasets.frames import read_class_map
from medseg.datasets.shapes import AnnotatedImage
from medseg.errors import MedsegError
from medseg.studies.gastric import prepare as gastric

SIZE = (60, 40)  # width, height
NAMES = ["antrum", "Body", "ulcer"]
PATIENTS = ["P1", "P2", "P3", "P4"]
KINDS = ("labelme", "labelme beside", "coco", "cvat", "grey masks", "palette masks")
#: Of picture 0 and 1 of a patient: class and box (left, top, right, bottom); the later one lies on top.
BOXES = ([(1, (4, 4, 30, 30)), (2, (20, 10, 40, 36))], [(3, (10, 6, 22, 18))])


def expected(number: int) -> np.ndarray:
    drawn = np.zeros(SIZE[::-1], np.uint8)
    for place, (left, top, right, bottom) in BOXES[number]:
        drawn[top:bottom, left:right] = place
    return drawn


def corners(box):
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def places(flat: bool) -> list[tuple[str, int]]:
    return [(f"{patient}{'_' if flat else '/'}{number}", number) for patient in PATIENTS for number in range(2)]


def write(root, kind: str, flat: bool = False):
    """A source of this kind of label, four patients with two pictures each."""
    beside = kind == "labelme beside"
    annotated = []
    for place, number in places(flat):
        noise = np.random.default_rng(len(annotated)).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
        save((root if beside else root / "images") / f"{place}.{'jpg' if number else 'png'}", noise)
        annotated.append((f"{place}.{'jpg' if number else 'png'}", BOXES[number]))
        if kind.startswith("labelme"):
            path = (root if beside else root / "labels") / f"{place}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            shapes = [
                {"label": NAMES[k - 1], "points": corners(box), "shape_type": "polygon"} for k, box in BOXES[number]
            ]
            path.write_text(json.dumps({"shapes": shapes, "imagePath": "x", "imageWidth": 60, "imageHeight": 40}))
        if kind.endswith("masks"):
            mask = Image.fromarray(expected(number), "P" if kind.startswith("palette") else "L")
            if mask.mode == "P":
                mask.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
            (root / "labels" / place).parent.mkdir(parents=True, exist_ok=True)
            mask.save(root / "labels" / f"{place}.png")
    if kind == "coco":
        images = [
            {"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, (name, _) in enumerate(annotated)
        ]
        regions = [
            {"id": 10 * n + k, "image_id": n, "category_id": k, "segmentation": [np.ravel(corners(box)).tolist()]}
            for n, (_, boxes) in enumerate(annotated)
            for k, box in boxes
        ]
        categories = [{"id": k, "name": name} for k, name in enumerate(NAMES, 1)]
        content = {"images": images, "annotations": regions, "categories": categories}
        (root / "instances.json").write_text(json.dumps(content))
    if kind == "cvat":
        listed = [
            AnnotatedImage(name, *SIZE, [(NAMES[k - 1], np.array(corners(box), float)) for k, box in boxes])
            for name, boxes in annotated
        ]
        (root / "annotations.xml").write_text(cvat.dump(listed, dict.fromkeys(NAMES, "#ff0000"), "t"))
    return root


def rejected(dataset) -> dict[str, str]:
    table = pd.read_csv(dataset.folder / "rejected.csv", keep_default_na=False)
    return dict(zip(table["file"], table["reason"], strict=True))


def check_labels(dataset):
    for _, row in dataset.index.iterrows():
        number = int(row["case_id"][-1])
        np.testing.assert_array_equal(read_class_map(dataset, row)[1], expected(number))
        assert row["phase"] == (3 if number else 2)  # 676 pixels of antrum, 200 of them under 520 of body


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_label_gives_the_same_class_maps(tmp_path, kind):
    source = write(tmp_path / "raw", kind)
    if kind.endswith("masks"):
        (source / "classes.txt").write_text("_background_\nantrum\nBody\n\nulcer\n")
    dataset = gastric.prepare(source, tmp_path / "out", overlay="off")
    assert dataset.info["classes"] == NAMES
    assert rejected(dataset) == {}
    assert list(dataset.index["case_id"]) == [place for place, _ in places(False)]
    assert set(dataset.index["group"]) == set(PATIENTS)
    assert dataset.info["groups_guessed"] == []
    check_labels(dataset)
    again = gastric.prepare(
        source, tmp_path / "again", overlay="off", classes=NAMES, corrections=dataset.folder / "annotations.xml"
    )
    check_labels(again)


def test_a_flat_folder_is_grouped_by_the_pattern_or_not_at_all(tmp_path):
    source = write(tmp_path / "raw", "cvat", flat=True)
    alone = gastric.prepare(source, tmp_path / "alone", overlay="off")
    assert list(alone.index["group"]) == list(alone.index["case_id"]) == [place for place, _ in places(True)]
    assert alone.info["groups_guessed"] == ["raw"]
    assert any("Nothing says which pictures are of one patient" in note for note in alone.info["notes"])
    save(source / "images" / "strange.png", np.zeros((40, 60, 3), np.uint8))
    grouped = gastric.prepare(source, tmp_path / "grouped", overlay="off", groups="^(P[0-9])_")
    assert set(grouped.index["group"]) == set(PATIENTS)
    assert "finds nothing in its name" in rejected(grouped)["images/strange.png"]
    again = gastric.prepare(source, tmp_path / "again", overlay="off", corrections=alone.folder / "annotations.xml")
    assert (again.index["source_label"] == "").all()
    check_labels(again)


def test_masks_without_names_are_numbered_and_white_alone_is_one_class(tmp_path):
    source = write(tmp_path / "raw", "grey masks")
    assert gastric.prepare(source, tmp_path / "out").info["classes"] == ["class-1", "class-2", "class-3"]
    for path in (source / "labels").rglob("*.png"):
        save(path, (np.asarray(Image.open(path)) > 0) * np.uint8(255))
    white = gastric.prepare(source, tmp_path / "white", classes=["polyp"])
    assert (white.index["phase"] == 1).all()
    assert gastric.prepare(source, tmp_path / "unnamed").info["classes"] == ["class-1"]


def test_bad_labels_are_rows_of_their_own(tmp_path):
    source = write(tmp_path / "raw", "grey masks")
    labels = source / "labels"
    save(labels / "P1/0.png", np.full((40, 60), 9, np.uint8))
    save(labels / "P1/1.png", expected(1)[:20])
    save(labels / "P2/0.png", np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    (labels / "P2/1.png").unlink()
    save(labels / "P9/0.png", expected(0))
    (source / "images/P4/0.png").write_bytes(b"rubbish")
    found = rejected(gastric.prepare(source, tmp_path / "out", classes=NAMES, shares=(0.5, 0.5, 0)))
    for file, reason in {
        "labels/P1/0.png": "the mask holds 9; expected 0 to 3, for antrum, Body, ulcer",
        "labels/P1/1.png": "the mask is 60 x 20 pixels, its image 60 x 40",
        "labels/P2/0.png": "the mask is in colours",
        "images/P2/1.jpg": "image without label",
        "labels/P9/0.png": "label without image",
        "images/P4/0.png": "not a picture",
    }.items():
        assert reason in found.pop(file)
    assert found == {}


def test_a_label_that_is_no_class_and_a_fault_of_one_shape_reject_their_picture(tmp_path):
    source = write(tmp_path / "raw", "labelme")
    path = source / "labels/P1/0.json"
    path.write_text(path.read_text().replace("antrum", "lens"))
    line = source / "labels/P1/1.json"
    line.write_text(line.read_text().replace('"polygon"', '"linestrip"'))
    found = rejected(gastric.prepare(source, tmp_path / "out", classes=[*NAMES], overlay="off"))
    assert "the label 'lens', expected one of antrum, Body, ulcer" in found["labels/P1/0.json"]
    assert "a linestrip has no area" in found["labels/P1/1.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "labels").rename(root.parent / "x"), "8 pictures, and no labels of a known kind"),
        (lambda root: (root / "images").rename(root.parent / "x"), "holds labels; no pictures"),
        (lambda root: write(root, "cvat"), "holds labels of 2 kinds: labelme JSON and CVAT XML"),
    ],
)
def test_a_source_that_cannot_be_told_is_refused(tmp_path, change, message):
    source = write(tmp_path / "raw", "labelme")
    change(source)
    with pytest.raises(MedsegError, match=message):
        gastric.prepare(source, tmp_path / "out")


def test_a_turned_picture_is_taken_where_its_label_tells_how(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # shown turned by a quarter
    upright = np.random.default_rng(0).integers(0, 256, (SIZE[0], SIZE[1], 3), np.uint8)
    for kind, reason in (("labelme", ""), ("cvat", ""), ("grey masks", "the orientation tag (EXIF) of the image is 6")):
        source = write(tmp_path / kind, kind)
        save(source / "images/P1/1.jpg", upright, exif=turned)  # 60 x 40 as shown, as the labels say
        dataset = gastric.prepare(source, tmp_path / f"out {kind}", classes=NAMES, overlay="off")
        assert ("P1/1" in set(dataset.index["case_id"])) == (not reason)
        assert reason in rejected(dataset).get("labels/P1/1.png", "")
