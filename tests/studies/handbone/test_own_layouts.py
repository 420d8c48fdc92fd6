"""Any classes: labelme, COCO and masks a class, of pictures that are files or DICOM, under whatever names."""

import json

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medseg.datasets import spacing
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.errors import MedsegError
from medseg.studies.handbone import figures
from medseg.studies.handbone import prepare as handbone

SIZE = (40, 30)
BOXES = {"femur": (2, 2, 12, 12), "tibia": (10, 14, 24, 26), "patella": (26, 4, 34, 10)}
NAMES = [f"p{patient}_{view}" for patient in range(1, 5) for view in ("a", "b")]


def picture(number):
    return np.random.default_rng(number).integers(0, 256, SIZE[::-1], dtype=np.uint8)


def corners(box):
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def mask(box):
    found = np.zeros(SIZE[::-1], np.uint8)
    found[box[1] : box[3], box[0] : box[2]] = 255
    return found


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def labelme(path, classes=BOXES, size=SIZE, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"label": name, "points": corners(BOXES[name]), "shape_type": "polygon"} for name in classes]
    sides = {"imageWidth": size[0], "imageHeight": size[1]} if size else {}
    path.write_text(json.dumps({"shapes": listed, "imagePath": "x.png", **sides, **more}), "utf-8")


def dicom(path, pixels, **elements):
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *pixels.shape, 1
    dataset.PhotometricInterpretation, dataset.Modality = "MONOCHROME2", "DX"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 7, 0, pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    return path


def rejected(data):
    table = pd.read_csv(data.folder / "rejected.csv", keep_default_na=False)
    return dict(zip(table["file"], table["reason"], strict=True))


def check(data, classes=("femur", "patella", "tibia")):
    """Every label of the dataset is drawn as it was made."""
    assert data.info["classes"] == list(classes)
    for _, row in data.index.iterrows():
        drawn = rasterise(read_polygons(data, row)[1], len(classes))
        for number, name in enumerate(classes):
            if drawn[number].any():
                np.testing.assert_array_equal(drawn[number] * 255, mask(BOXES[name]))


@pytest.fixture
def knees(tmp_path):
    """Pictures with a labelme file each; the second view of every patient lacks the patella."""
    for number, name in enumerate(NAMES):
        save(tmp_path / "knees" / f"{name}.png", picture(number))
        labelme(tmp_path / "knees" / f"{name}.json", BOXES if name.endswith("a") else ("femur", "tibia"))
    return tmp_path / "knees"


def test_labelme_beside_the_pictures(knees, tmp_path):
    data = handbone.prepare(knees, tmp_path / "out", groups="^(p[0-9])_", folds=4)
    check(data)
    assert set(data.index["group"]) == {"p1", "p2", "p3", "p4"}
    assert list(data.index["case_id"]) == NAMES
    assert data.info["incomplete"] == {name: ["patella"] for name in NAMES if name.endswith("b")}
    assert data.info["source"] == {"folder": "knees", "layout": "labelme JSON"}
    assert data.info["notes"] == ["Patients are what ^(p[0-9])_ finds in the names of the pictures."]
    assert "spacing_x_mm" not in data.index
    areas = figures.measure(data)
    assert areas.shares.shape == (8, 3)
    assert "3 of 3 classes in colour" in figures.classes(data).alt
    assert "femur" in figures.class_sizes(areas).alt
    assert "pairs of classes overlap" in figures.overlaps(areas).alt


def test_the_order_of_the_classes_is_asked_for_and_others_are_listed(knees, tmp_path):
    data = handbone.prepare(knees, tmp_path / "out", classes=["tibia", "femur"], folds=3)
    check(data, ["tibia", "femur"])
    assert rejected(data)["p1_a.json: annotation 2 (patella)"].startswith(
        "the label 'patella' is none of the 2 classes"
    )
    assert "every picture stands for itself" in data.info["notes"][0]
    assert data.info["groups_guessed"] == ["knees"]
    for classes, message in (
        (["tibia", "tibia"], "classes names 'tibia' more than once"),
        ([f"c{n}" for n in range(32)], "names 32 classes .*; expected 1 to 31"),
    ):
        with pytest.raises(MedsegError, match=message):
            handbone.prepare(knees, tmp_path / "no", classes=classes, folds=3)
    for pattern, message in (("(", "not a regular expression"), ("a", "one group in parentheses")):
        with pytest.raises(MedsegError, match=message):
            handbone.prepare(knees, tmp_path / "no", groups=pattern)


def test_patients_are_the_folders_and_labels_may_lie_apart(tmp_path):
    for number in range(8):
        patient, name = f"P{number // 2}", f"v{number % 2}"
        save(tmp_path / "raw" / "images" / patient / f"{name}.tif", picture(number))
        labelme(tmp_path / "raw" / "annotations" / patient / f"{name}.json")
    data = handbone.prepare(tmp_path / "raw", tmp_path / "out", folds=4)
    check(data)
    assert list(data.index["case_id"])[:3] == ["P0-v0", "P0-v1", "P1-v0"]
    assert data.index.groupby("group").size().to_dict() == dict.fromkeys(("P0", "P1", "P2", "P3"), 2)


def coco(path, names, **changes):
    images = [{"id": n, "file_name": f"{name}.png", "width": 40, "height": 30} for n, name in enumerate(names)]
    categories = [{"id": 9 - n, "name": name} for n, name in enumerate([*BOXES, "fibula"])]
    listed = []
    for image in images:
        for category in categories[:2]:
            flat = [value for point in corners(BOXES[category["name"]]) for value in point]
            listed.append({"image_id": image["id"], "category_id": category["id"], "segmentation": [flat]})
        column = np.flatnonzero(np.diff(np.concatenate([[0], mask(BOXES["patella"]).T.ravel() // 255]))).tolist()
        runs = np.diff([0, *column, 1200]).tolist()
        listed.append({"image_id": image["id"], "category_id": 7, "segmentation": {"size": [30, 40], "counts": runs}})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": listed, **changes}), "utf-8")


@pytest.mark.parametrize("place", ["instances.json", "annotations/instances_default.json"])
def test_coco_for_all_pictures(tmp_path, place):
    raw = tmp_path / "raw"
    for number, name in enumerate([*NAMES, "extra"]):
        save(raw / "images" / f"{name}.png", picture(number))
    coco(raw / place, [*NAMES, "gone"])
    data = handbone.prepare(raw, tmp_path / "out", folds=3)
    check(data, ["femur", "tibia", "patella"])  # the order of the categories; one without annotations is left out
    assert len(data.index) == 8
    found = rejected(data)
    assert found["images/extra.png"] == "image without label"
    assert found[f"{place}: gone.png"] == "there is no such picture"


def test_two_coco_files_are_refused(tmp_path):
    save(tmp_path / "raw" / "a.png", picture(0))
    for name in ("train.json", "val.json"):
        coco(tmp_path / "raw" / name, ["a"])
    with pytest.raises(MedsegError, match=r"holds 2 COCO files: train.json, val.json"):
        handbone.prepare(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("by_picture", [False, True])
def test_a_mask_for_each_class(tmp_path, by_picture):
    raw = tmp_path / "raw"
    for number, name in enumerate(NAMES):
        save(raw / "images" / f"{name}.png", picture(number))
        for label, box in BOXES.items():
            if label != "patella" or name.endswith("a"):
                save(raw / "masks" / (f"{name}/{label}.png" if by_picture else f"{label}/{name}.png"), mask(box))
    wrong = raw / "masks" / ("p1_a/tibia.png" if by_picture else "tibia/p1_a.png")
    save(wrong, mask(BOXES["tibia"])[:20])
    bad = raw / "masks" / ("p2_a/tibia.png" if by_picture else "tibia/p2_a.png")
    bad.write_bytes(b"")
    data = handbone.prepare(raw, tmp_path / "out", folds=3)
    check(data)
    assert len(data.index) == 7
    reasons = "; ".join(rejected(data).values())
    assert "its masks differ in size: 40 x 20, 40 x 30" in reasons
    assert any("tibia: the file is empty" in place for place in rejected(data))
    assert data.info["incomplete"]["p2_a"] == ["tibia"]


def test_dicom_pictures_keep_the_size_of_a_pixel(tmp_path):
    raw, values = tmp_path / "raw", {}
    for number, name in enumerate(NAMES):
        values[name] = picture(number)
        told = {"PixelSpacing": [0.2, 0.1]} if number < 6 else {"ImagerPixelSpacing": [0.3, 0.3]} if number < 7 else {}
        dicom(raw / f"{name}.dcm", values[name], PatientID=f"secret-{name[:2]}", **told)
        labelme(raw / f"{name}.json")
    data = handbone.prepare(raw, tmp_path / "out", folds=4)
    check(data)
    np.testing.assert_array_equal(read_polygons(data, data.index.iloc[3])[0], values[NAMES[3]])
    assert list(data.index["group"].unique()) == ["patient-001", "patient-002", "patient-003", "patient-004"]
    assert "secret" not in (data.folder / "index.csv").read_text("utf-8") + json.dumps(data.info)
    sizes = pd.to_numeric(data.index["spacing_y_mm"], errors="coerce")
    assert list(sizes.fillna(0)) == [0.2] * 6 + [0.3, 0]
    assert data.info["spacing"] == {"PixelSpacing": 6, "ImagerPixelSpacing": 1, "unknown": 1}
    assert "6 by PixelSpacing, 1 by ImagerPixelSpacing; 1 tell none" in data.info["notes"][1]
    assert "measured at the detector" in data.info["notes"][2]
    cropped = handbone.prepare(raw, tmp_path / "crop", folds=4, crop="patella")
    assert float(cropped.index["spacing_x_mm"][0]) == 0.1


def test_a_spacing_that_is_no_size_is_none(tmp_path):
    for number, value in enumerate((["0", "1"], [-1, 1])):
        path = dicom(tmp_path / f"{number}.dcm", picture(0), PixelSpacing=value)
        assert spacing.read(path) is None
    both = dicom(tmp_path / "b.dcm", picture(0), PixelSpacing=[0.0, 0.0], ImagerPixelSpacing=[0.5, 0.25])
    assert spacing.read(both) == spacing.Spacing(0.25, 0.5, "ImagerPixelSpacing")
    assert pydicom.dcmread(both).Modality == "DX"


def test_what_does_not_belong_together_is_listed(knees, tmp_path):
    (knees / "p1_a.json").write_text("{")
    labelme(knees / "p1_b.json", size=(41, 30))
    labelme(knees / "lonely.json")
    save(knees / "alone.png", picture(0))
    save(knees / "p2_a.jpg", picture(0))
    (knees / "p3_a.png").write_bytes(b"no picture")
    labelme(knees / "p3_b.json", ("femur",), shapes=[{"label": "femur", "points": [[1, 2]], "shape_type": "point"}])
    data = handbone.prepare(knees, tmp_path / "out", folds=3)
    found = rejected(data)
    expected = {
        "p1_a.json": "broken JSON",
        "p1_b.json": "made on a picture of 41 x 30 pixels, this one has 40 x 30",
        "lonely.json": "label without image",
        "alone.png": "image without label",
        "p2_a.jpg": "p2_a.jpg and p2_a.png have the same name",
        "p3_a.png": "not a picture",
        "p3_b.json": "holds no annotation",
        "p3_b.json: shape 1 (femur): a point has no area; outline the region as a polygon": "cannot be used",
    }
    assert all(reason in found[place] for place, reason in expected.items())
    assert list(data.index["case_id"]) == ["p2_b", "p4_a", "p4_b"]


def test_an_orientation_tag_that_leaves_it_open_is_named(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    raw = tmp_path / "raw"
    for number, name in enumerate(NAMES):
        save(raw / f"{name}.png", picture(number), **({"exif": exif} if number == 0 else {}))
    coco(raw / "all.json", NAMES)
    data = handbone.prepare(raw, tmp_path / "out", folds=3)
    assert [reason for reason in rejected(data).values() if "orientation tag (EXIF) of its picture is 3" in reason]
    assert len(data.index) == 7
    (raw / "all.json").unlink()
    for name in NAMES:
        labelme(raw / f"{name}.json")  # labelme turns pictures by the tag, as is done here
    assert len(handbone.prepare(raw, tmp_path / "out", folds=3).index) == 8


def test_a_folder_without_labels_says_what_is_expected(tmp_path):
    save(tmp_path / "raw" / "a.png", picture(0))
    with pytest.raises(MedsegError, match=r"holds a.png; 1 pictures, and no labels of a known kind. Expected 'DCM/"):
        handbone.prepare(tmp_path / "raw", tmp_path / "out")
