import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medseg.datasets import cvat, dicom, index
from medseg.errors import MedsegError
from medseg.studies.gastric import labels as gastric_labels
from medseg.studies.gastric import layout as gastric_layout
from medseg.studies.gastric import prepare as gastric
from medseg.studies.gastric.outputs import OUTPUTS
from phantoms.gastric.sample import (
    TROUBLE,
    encode_dicom,
    label_of,
    sample_faults,
    sample_oddities,
    write_gastric_sample,
)

SIZE = (200, 90)  # width, height


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_gastric_sample(tmp_path_factory.mktemp("gastric") / "raw", patients=4)


@pytest.fixture(scope="module")
def prepared(sample, tmp_path_factory):
    return gastric.prepare(sample, tmp_path_factory.mktemp("prepared") / "out", workers=2)


def put(source: Path, case_id: str, phase: int | None = 2, polygons=None, seed=0, size=SIZE, **files):
    """A case of noise in a bright window, with a square lesion; ``image`` and ``label`` replace the files' bytes."""
    patient, name = case_id.split("/")
    rng = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[5:-5, 60:-5] = rng.integers(80, 250, (size[1] - 10, size[0] - 65, 3))
    picture[20:22, 5:40] = 200  # a stroke of text
    square = np.array([[80, 20], [120, 20], [120, 60], [80, 60]], float)
    if polygons is None:
        polygons = [square] if phase else []
    content = label_of(patient, unicodedata.normalize("NFC", name), phase, polygons)
    label = json.dumps(content, ensure_ascii=False).encode("euc-kr")
    for top, suffix, data in (
        ("DICOM", ".dcm", files.get("image", encode_dicom(picture, "P000", str(seed)))),
        ("LABELS", ".json", files.get("label", label)),
    ):
        if data is not None:
            path = source / top / patient / "ENDO" / (name + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return picture


@pytest.fixture
def source(tmp_path):
    """Three patients with two pictures each."""
    root = tmp_path / "raw"
    for number in range(6):
        put(root, f"P{number // 2}/{'ab'[number % 2]}", phase=1 + number % 4 if number else None, seed=number)
    return root


def rejected(dataset: index.PreparedDataset) -> dict[str, str]:
    table = pd.read_csv(dataset.folder / "rejected.csv", keep_default_na=False)
    assert not table["file"].duplicated().any()
    return dict(zip(table["file"], table["reason"], strict=True))


def pixels(dataset: index.PreparedDataset, relative: str) -> np.ndarray:
    return np.asarray(Image.open(dataset.path(relative)))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_troubled_file_is_rejected_with_its_own_reason_and_nothing_else(prepared):
    reasons = {
        "truncated DICOM": "truncated: holds",
        "label without image": "label without image",
        "image without label": "image without label",
        "no polygon": "no polygon: phase_id is 2",
        "one point": "polygon 1 has only 1 distinct point,",
        "two points": "polygon 1 has only 2 distinct points",
        "outside the picture": "polygon 1 lies outside the picture of 640 x 480",
        "phase 0": "phase_id is '0'",
        "phase 5": "phase_id is '5'",
        "missing key": "the key 'annotations' is missing",
        "wrong encoding": "neither in EUC-KR nor in UTF-8",
    }
    found = rejected(prepared)
    assert found.keys() == {fault.path for fault in sample_faults()}
    for fault in sample_faults():
        assert found[fault.path].startswith(reasons[fault.kind]) or reasons[fault.kind] in found[fault.path]
    assert len(set(found.values())) == len(found)


def test_odd_but_sound_files_are_all_there(prepared, sample):
    sources = set(prepared.index["source_image"]) | set(prepared.index["source_label"])
    assert {oddity.path for oddity in sample_oddities()} <= sources
    sound = [path for path in sample.glob("DICOM/*/ENDO/*") if TROUBLE not in path.parts]
    assert len(prepared.index) == len(sound) == 16
    assert "P001/1.2.410.200010.1" in set(prepared.index["case_id"])


def test_the_dataset_keeps_its_contract(prepared):
    info, rows = prepared.info, prepared.index
    assert (info["study"], info["classes"]) == ("gastric", ["phase-1", "phase-2", "phase-3", "phase-4"])
    assert rows.groupby("group")["split"].nunique().max() == 1
    assert set(rows["split"]) == set(index.SPLITS)
    assert (rows["fold"] == -1).all()
    assert (rows["test_set"] == np.where(rows["split"] == "test", "test", "")).all()
    assert sorted(rows["phase"].unique()) == [0, 1, 2, 3, 4]
    for row in rows.itertuples():
        image, label = pixels(prepared, row.image), pixels(prepared, row.label)
        assert image.shape == (row.height_px, row.width_px, 3)
        assert (label.shape, label.dtype) == ((row.height_px, row.width_px), np.uint8)
        assert set(np.unique(label)) == {0, row.phase}
        assert row.lesion_fraction == pytest.approx((label > 0).mean(), abs=1e-6)
    assert info["phases"]["train"].keys() == {"0", "1", "2", "3", "4"}


def test_each_output_is_what_it_says(prepared):
    files = pd.read_csv(prepared.folder / "files.csv", keep_default_na=False)
    assert list(files["case_id"]) == list(prepared.index["case_id"])
    for row, case in zip(files.itertuples(), prepared.index.itertuples(), strict=True):
        original, mask = pixels(prepared, row.original), pixels(prepared, row.mask)
        np.testing.assert_array_equal(mask, (pixels(prepared, row.label) > 0) * 255)
        np.testing.assert_array_equal(original, pixels(prepared, row.image))
        assert pixels(prepared, row.inspector).shape == (2 * mask.shape[0], 2 * mask.shape[1], 3)
        if not case.phase:
            assert row.roi == row.roi_by_phase == ""
            continue
        roi = pixels(prepared, row.roi)
        near = cv2.dilate(mask, np.ones((15, 15), np.uint8)) > 0
        np.testing.assert_array_equal(roi, original * near[..., None])
        assert row.roi_by_phase == f"rois_by_phase/phase-{case.phase}/{case.case_id}.png"
        assert prepared.path(row.roi_by_phase).read_bytes() == prepared.path(row.roi).read_bytes()
    listed = {
        path
        for name in ("image", "label", "original", "mask", "roi", "roi_by_phase", "inspector")
        for path in files[name]
    }
    tables = {"index.csv", "rejected.csv", "labels.csv", "files.csv", "dataset.json", "annotations.xml"}
    assert content(prepared.folder).keys() == (listed - {""}) | tables
    labels = pd.read_csv(prepared.folder / "labels.csv")
    assert (labels["pixels"] > 0).equals(labels["phase"] > 0)
    assert labels["polygons"].max() == 2


def test_the_inspector_shows_original_mask_overlay_and_cleaned_picture(prepared, sample):
    row = prepared.index[prepared.index["phase"] == 3].iloc[1]
    tiles = pixels(prepared, f"inspector/{row.case_id}.jpg").astype(float)
    height, width = row.height_px, row.width_px
    original = dicom.read(sample / row.source_image).pixels
    cleaned, mask = pixels(prepared, row.image), pixels(prepared, row.label) > 0
    expected = {"original": original, "mask": np.repeat(mask[..., None] * 255.0, 3, axis=2), "cleaned": cleaned}
    found = {"original": tiles[:height, :width], "mask": tiles[:height, width:], "cleaned": tiles[height:, width:]}
    for name, picture in expected.items():
        assert np.abs(found[name] - picture).mean() < 4, name
    overlay = np.abs(tiles[height:, :width] - cleaned).mean(axis=2)
    assert overlay[mask].mean() > 15
    assert overlay[~cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))).astype(bool)].mean() < 4


def test_detection_blanks_the_text_of_every_size_and_leaves_the_window(prepared, sample, tmp_path):
    for row in prepared.index.itertuples():
        picture, original = pixels(prepared, row.image), dicom.read(sample / row.source_image).pixels
        assert not picture[:, :148].any()
        window = picture.any(axis=2)
        assert 0.6 < window.mean() < 0.75
        np.testing.assert_array_equal(picture[window], original[window])
    assert prepared.info["overlay"]["sizes"]["640x480"] == {"pictures": 16, "kept": [150, 14, 480, 452]}


def test_two_sizes_have_a_window_each(source, tmp_path):
    for name in "ab":
        put(source, f"P7/{name}", size=(260, 140), seed=ord(name))
    found = gastric.prepare(source, tmp_path / "out").info["overlay"]["sizes"]
    assert found == {
        "200x90": {"pictures": 6, "kept": [60, 5, 135, 80]},
        "260x140": {"pictures": 2, "kept": [60, 5, 195, 130]},
    }


def test_published_moves_picture_and_polygons_together_and_off_leaves_both(sample, tmp_path):
    published = gastric.prepare(sample, tmp_path / "published", overlay="published")
    off = gastric.prepare(sample, tmp_path / "off", overlay="off", outputs=())
    for moved, still in zip(published.index.itertuples(), off.index.itertuples(), strict=True):
        picture, label = pixels(published, moved.image), pixels(published, moved.label)
        plain, unmoved = pixels(off, still.image), pixels(off, still.label)
        np.testing.assert_array_equal(plain, dicom.read(sample / still.source_image).pixels)
        np.testing.assert_array_equal(label[:, 119:-51], unmoved[:, 170:])
        np.testing.assert_array_equal(picture[:, 119:-51], plain[:, 170:])
        assert not picture[:, :91].any()
    shapes = [cvat.read(data.folder / "annotations.xml") for data in (published, off)]
    for moved, still in zip(*shapes, strict=True):
        for (_, first), (_, second) in zip(moved.shapes, still.shapes, strict=True):
            np.testing.assert_allclose(first + (51, 0), second, atol=0.011)
    assert not (off.folder / "originals").exists()


def test_the_published_geometry_on_two_sizes_leaves_a_note(source, tmp_path):
    right = np.array([[172, 55], [190, 55], [190, 80], [172, 80.0]])
    for patient in range(4):
        put(source, f"P{patient}/c", 2, [right], size=SIZE if patient else (260, 140))
    notes = gastric.prepare(source, tmp_path / "out", overlay="published").info["notes"]
    assert any("200x90, 260x140" in note for note in notes)


def test_a_lesion_under_the_text_is_rejected_and_half_of_one_is_cut(source, tmp_path):
    square = np.array([[10, 30], [40, 30], [40, 50], [10, 50.0]])
    put(source, "P0/hidden", 2, [square])
    put(source, "P0/half", 2, [square + (40, 0)])
    dataset = gastric.prepare(source, tmp_path / "out")
    assert "blanked" in rejected(dataset)["LABELS/P0/ENDO/hidden.json"]
    label = pixels(dataset, "labels/P0/half.png")
    assert np.argwhere(label).min(axis=0).tolist() == [30, 60]


def test_each_picture_is_decoded_once_whatever_is_wanted(source, tmp_path, monkeypatch):
    counted = []
    decode = dicom.pixel_array
    monkeypatch.setattr(
        dicom, "pixel_array", lambda dataset, **options: counted.append(1) or decode(dataset, **options)
    )
    for outputs in ((), OUTPUTS):
        counted.clear()
        gastric.prepare(source, tmp_path / "out", outputs=outputs)
        assert len(counted) == 6


def test_the_number_of_workers_changes_nothing(source, tmp_path):
    put(source, "P0/bad", image=b"rubbish")
    one = gastric.prepare(source, tmp_path / "one", workers=1)
    three = gastric.prepare(source, tmp_path / "three", workers=3)
    assert content(one.folder) == content(three.folder)


def test_a_crash_over_one_file_is_one_row(source, tmp_path, monkeypatch):
    read = gastric_labels.read

    def crash(path, *phases):
        if path.stem == "a" and "P1" in path.parts:
            raise ZeroDivisionError("of all things")
        return read(path, *phases)

    monkeypatch.setattr(gastric_labels, "read", crash)
    dataset = gastric.prepare(source, tmp_path / "out", workers=2)
    assert rejected(dataset) == {"LABELS/P1/ENDO/a.json": "unexpected ZeroDivisionError: of all things"}
    assert len(dataset.index) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_refuses_ends_the_work_and_leaves_nothing(source, tmp_path, monkeypatch, workers):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index.DatasetDraft, "write_file", fail)
    with pytest.raises(MedsegError, match="disk is full"):
        gastric.prepare(source, tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*partial"))


def test_with_all_files_bad_there_is_one_clear_error(tmp_path):
    for number in range(4):
        put(tmp_path / "raw", f"P{number}/a", image=b"rubbish")
    with pytest.raises(
        MedsegError, match=r"No usable sample .* 4 file\(s\) were rejected \(DICOM/P0/ENDO/a.dcm: not a"
    ):
        gastric.prepare(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_crop_then_resize_take_width_before_height(source, tmp_path):
    picture = put(source, "P0/a", 2, seed=9)
    whole = gastric.prepare(source, tmp_path / "whole", overlay="off")
    cut = gastric.prepare(source, tmp_path / "cut", overlay="off", crop=(70, 10, 100, 60))
    np.testing.assert_array_equal(pixels(cut, "images/P0/a.png"), picture[10:70, 70:170])
    np.testing.assert_array_equal(pixels(cut, "labels/P0/a.png"), pixels(whole, "labels/P0/a.png")[10:70, 70:170])
    np.testing.assert_array_equal(pixels(cut, "originals/P0/a.png"), picture)  # in full
    small = gastric.prepare(source, tmp_path / "small", overlay="off", crop=(70, 10, 100, 60), size=(50, 20))
    image, label = pixels(small, "images/P0/a.png"), pixels(small, "labels/P0/a.png")
    assert (image.shape, label.shape) == ((20, 50, 3), (20, 50))
    np.testing.assert_array_equal(image, cv2.resize(picture[10:70, 70:170], (50, 20), interpolation=cv2.INTER_AREA))
    expected = np.zeros((20, 50), np.uint8)
    expected[3:17, 5:25] = 2  # the cells of 2 x 3 pixels whose middle is in columns 80..119 and rows 20..59
    np.testing.assert_array_equal(label, expected)
    assert (small.index["width_px"].iloc[0], small.index["height_px"].iloc[0]) == (50, 20)


def test_resizing_makes_no_new_value_and_does_not_move_the_lesion(source, tmp_path):
    for size in ((70, 31), (411, 203)):
        small = gastric.prepare(source, tmp_path / "out", size=size)
        for row in small.index.itertuples():
            label = pixels(small, row.label)
            assert set(np.unique(label)) == {0, row.phase}
            if row.phase:
                middle = (np.argwhere(label).mean(axis=0) + 0.5) * (SIZE[1] / size[1], SIZE[0] / size[0])
                np.testing.assert_allclose(middle, (40, 100), atol=0.51 * max(1, SIZE[1] / size[1]))


def test_a_crop_that_does_not_fit_rejects_the_picture(source, tmp_path):
    put(source, "P0/narrow", size=(160, 90))
    dataset = gastric.prepare(source, tmp_path / "out", crop=(60, 0, 120, 90), overlay="off")
    assert len(dataset.index) == 6
    reason = "the crop of 120 x 90 pixels at (60, 0) does not fit into a picture of 160 x 90"
    assert rejected(dataset) == {"DICOM/P0/ENDO/narrow.dcm": reason}


def edited(dataset: index.PreparedDataset, tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = (dataset.folder / "annotations.xml").read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "corrected.xml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("overlay", ["detect", "published", "off"])
def test_annotations_out_and_in_again_give_the_same_masks(sample, tmp_path, overlay):
    first = gastric.prepare(sample, tmp_path / "first", overlay=overlay, outputs=())
    again = gastric.prepare(
        sample, tmp_path / "again", overlay=overlay, outputs=(), corrections=first.folder / "annotations.xml"
    )
    assert (again.index["phase"] == first.index["phase"]).all()
    assert (again.index["source_label"] == "").all()
    for row in first.index.itertuples():
        before, after = (pixels(data, row.label) for data in (first, again))
        assert (before != after).sum() <= 0.002 * max((before > 0).sum(), 500)  # rounding to hundredths
    shapes = [cvat.read(data.folder / "annotations.xml") for data in (first, again)]
    for one, two in zip(*shapes, strict=True):
        for (label, before), (found, after) in zip(one.shapes, two.shapes, strict=True):
            assert label == found
            np.testing.assert_allclose(after, before, atol=0.5)


def test_a_correction_replaces_the_label(source, tmp_path):
    first = gastric.prepare(source, tmp_path / "first")
    put(source, "P0/b", image=None, label=b"{")  # broken, and mended by the correction
    mask = '<mask label="phase-4" rle="0, 3, 5, 3" left="100" top="30" width="8" height="2"></mask>'
    xml = edited(first, tmp_path)
    tree = xml.read_text()
    part = tree[tree.index('name="originals/P0/b.png"') : tree.index('name="originals/P1/a.png"')]
    new = part[: part.index(">") + 1] + mask + "</image>\n  " + '<image id="2" '
    xml.write_text(tree.replace(part, new))
    dataset = gastric.prepare(source, tmp_path / "out", corrections=xml)
    assert rejected(dataset) == {}
    row = dataset.index.set_index("case_id").loc["P0/b"]
    assert (row.phase, row.source_label) == (4, "")
    expected = np.zeros(SIZE[::-1], np.uint8)
    expected[30:32, 100:103] = 4
    np.testing.assert_array_equal(pixels(dataset, row.label), expected)
    again = gastric.prepare(source, tmp_path / "again", corrections=dataset.folder / "annotations.xml")
    assert content(dataset.folder / "labels") == content(again.folder / "labels")


@pytest.mark.parametrize("written", ["phase_{}", "Phase {}", "PHASE-{}", "phase{}"])
def test_labels_are_the_same_however_they_are_typed(source, tmp_path, written):
    first = gastric.prepare(source, tmp_path / "first", outputs=())
    xml = edited(first, tmp_path, *((f'label="phase-{k}"', f'label="{written.format(k)}"') for k in range(1, 5)))
    again = gastric.prepare(source, tmp_path / "again", outputs=(), corrections=xml)
    assert rejected(again) == {}
    assert again.index["phase"].tolist() == first.index["phase"].tolist() == [0, 2, 3, 4, 1, 2]


def test_a_correction_without_a_shape_means_no_lesion(source, tmp_path):
    first = gastric.prepare(source, tmp_path / "first")
    text = (first.folder / "annotations.xml").read_text()
    xml = tmp_path / "c.xml"
    xml.write_text("\n".join(line for line in text.splitlines() if "<polygon" not in line))
    assert (gastric.prepare(source, tmp_path / "out", corrections=xml).index["phase"] == 0).all()


def test_faulty_corrections_reject_their_pictures_alone(source, tmp_path):
    first = gastric.prepare(source, tmp_path / "first")
    xml = edited(
        first,
        tmp_path,
        ('name="originals/P0/a.png" width="200"', 'name="originals/P0/a.png" width="199"'),
        ('name="originals/P2/a.png"', 'name="originals/P9/z.png"'),
        ('name="originals/P2/b.png"', 'name="b.png"'),
        ('label="phase-4"', 'label="polyp"'),
    )
    found = rejected(gastric.prepare(source, tmp_path / "out", corrections=xml, shares=(0.5, 0.25, 0.25)))
    assert "annotated on a picture of 199 x 90 pixels, this one has 200 x 90" in found["LABELS/P0/ENDO/a.json"]
    assert "the label 'polyp'" in found["LABELS/P1/ENDO/b.json"]
    assert found.keys() == {
        "LABELS/P0/ENDO/a.json", "LABELS/P1/ENDO/b.json", "corrected.xml: originals/P9/z.png", "corrected.xml: b.png"
    }  # fmt: skip


def test_two_phases_in_one_picture_are_refused(source, tmp_path):
    first = gastric.prepare(source, tmp_path / "first")
    line = next(
        line for line in (first.folder / "annotations.xml").read_text().splitlines() if 'label="phase-2"' in line
    )
    xml = edited(first, tmp_path, (line, line + line.replace("phase-2", "phase-3")))
    found = rejected(gastric.prepare(source, tmp_path / "out", corrections=xml))
    assert any("shapes of phase-2 and phase-3" in reason for reason in found.values())


def test_the_published_layout_with_other_classes(source, tmp_path):
    names = ("background", "early", "late", "Ulcer large", "a/b", "five", "six")
    put(source, "P1/c", phase=6, seed=9)
    dataset = gastric.prepare(source, tmp_path / "out", classes=names)
    assert dataset.info["classes"] == list(names[1:])
    assert dataset.info["phases"]["train"].keys() == {"0", "1", "2", "3", "4", "5", "6"}
    assert dataset.index.set_index("case_id").loc["P1/c", "phase"] == 6
    assert np.unique(pixels(dataset, "labels/P1/c.png")).tolist() == [0, 6]
    assert (dataset.folder / "rois_by_phase/six/P1/c.png").is_file()
    assert (dataset.folder / "rois_by_phase/a_b/P1/b.png").is_file()
    again = gastric.prepare(source, tmp_path / "again", classes=names, corrections=dataset.folder / "annotations.xml")
    assert content(dataset.folder / "labels") == content(again.folder / "labels")
    few = gastric.prepare(source, tmp_path / "few", classes=["early", "late"], shares=(0.5, 0.5, 0))
    assert rejected(few)["LABELS/P1/ENDO/c.json"].startswith("phase_id is '6', expected 1 to 2")


def test_the_issue_list_drops_and_keeps(source, tmp_path):
    issues = tmp_path / "issues.csv"
    issues.write_text(
        "file,action,issue\nP0/a,drop,blurred\nDICOM\\P1\\ENDO\\b.dcm,drop,\nP2/a.png,keep,checked\nP9/x,drop,\na,drop,\n",
        "utf-8",
    )
    dataset = gastric.prepare(source, tmp_path / "out", issues=issues)
    assert rejected(dataset) == {
        "DICOM/P0/ENDO/a.dcm": "dropped by issues.csv: blurred",
        "DICOM/P1/ENDO/b.dcm": "dropped by issues.csv",
        "P9/x": "named in issues.csv, but there is no such picture, or several",
        "a": "named in issues.csv, but there is no such picture, or several",
    }
    assert list(dataset.index["case_id"]) == ["P0/b", "P1/a", "P2/a", "P2/b"]


def test_the_published_issue_list_drops_by_patient_and_image(source, tmp_path):
    issues = tmp_path / "issues.csv"
    lines = "train;P0;a.dcm;kim;blurred\ntrain;P1;a;kim;\ntest;P2;b;;text\ntrain;P2;z;;x\n"
    issues.write_bytes(("dataset type;patient;image;assignee;issue\n" + lines).encode("utf-8-sig"))
    dataset = gastric.prepare(source, tmp_path / "out", issues=issues)
    assert rejected(dataset) == {
        "DICOM/P0/ENDO/a.dcm": "dropped by issues.csv: blurred",
        "DICOM/P2/ENDO/b.dcm": "dropped by issues.csv: text",
        "P2/z": "named in issues.csv, but there is no such picture, or several",
    }


def test_what_does_not_belong_is_listed(source, tmp_path, monkeypatch):
    (source / "DICOM" / "loose.dcm").write_bytes(b"")
    (source / "DICOM" / "P0" / "CT").mkdir()
    (source / "LABELS" / "P0" / "ENDO" / "notes.txt").touch()
    shutil.copy(source / "DICOM/P1/ENDO/a.dcm", source / "DICOM/P1/ENDO/a.DCM")
    (source / "DICOM" / "P5").mkdir()
    entries = gastric_layout.entries

    def locked(folder):
        if folder.name == "P2" and folder.parent.name == "LABELS":
            raise MedsegError("P2 cannot be listed: Permission denied.")
        return entries(folder)

    monkeypatch.setattr(gastric_layout, "entries", locked)
    put(source, "P3/a")
    dataset = gastric.prepare(source, tmp_path / "out", shares=(0.5, 0.5, 0))
    found = rejected(dataset)
    for path, reason in {
        "DICOM/loose.dcm": "outside the patients' folders",
        "DICOM/P0/CT": "not in a folder ENDO",
        "LABELS/P0/ENDO/notes.txt": "not a file with the extension .json",
        "DICOM/P1/ENDO/a.dcm": "have the same name",
        "DICOM/P1/ENDO/a.DCM": "have the same name",
        "LABELS/P1/ENDO/a.json": "label without image",
        "DICOM/P5": "an empty folder",
        "LABELS/P2": "cannot be read: P2 cannot be listed: Permission denied",
        "DICOM/P2/ENDO/a.dcm": "image without label",
        "DICOM/P2/ENDO/b.dcm": "image without label",
    }.items():
        assert reason in found.pop(path)
    assert found == {}


def test_korean_names_are_paired_however_they_are_composed(source, tmp_path):
    name = "환자"
    put(source, f"{name}/가", image=None)  # one code point
    put(source, f"{name}/\u1100\u1161", label=None)  # the same syllable in two
    dataset = gastric.prepare(source, tmp_path / "out")
    assert f"{name}/가" in set(dataset.index["case_id"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_utf8_is_a_row(source, tmp_path):
    folder = os.fsencode(source / "DICOM" / "P0" / "ENDO")
    with open(folder + b"/\xb0\xa1.dcm", "wb"):
        pass
    found = rejected(gastric.prepare(source, tmp_path / "out"))
    assert list(found) == ["DICOM/P0/ENDO/\\udcb0\\udca1.dcm"]
    assert "not in UTF-8" in next(iter(found.values()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlay": "auto"}, "The overlay is 'auto'; there are detect, published, off"),
        ({"size": (224,)}, r"The size is \[224\]"),
        ({"crop": (0, 0, 0, 5)}, "The crop is"),
        ({"outputs": ("roi",)}, "There is no output 'roi'"),
        ({"shares": (0.5, 0.5)}, "three numbers"),
        ({"shares": (0.5, 0.5, 0.5)}, "add up to 1"),
        ({"workers": -1}, "workers is -1"),
        ({"classes": ["a", "A "]}, "classes is"),
        ({"classes": ["-"]}, "classes is"),
        ({"groups": "^(.)"}, "in the public layout a folder is a patient"),
        ({"corrections": "none.xml"}, "none.xml cannot be read"),
        ({"issues": "none.csv"}, "none.csv cannot be read"),
    ],
)
def test_wrong_parameters_are_refused_and_nothing_is_written(source, tmp_path, options, message):
    with pytest.raises(MedsegError, match=message):
        gastric.prepare(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_wrong_source_is_refused(source, tmp_path):
    with pytest.raises(MedsegError, match="does not exist"):
        gastric.prepare(tmp_path / "none", tmp_path / "out")
    with pytest.raises(MedsegError, match="holds P0, P1, P2; no pictures. Expected pictures"):
        gastric.prepare(source / "LABELS", tmp_path / "out")
    (source / "LABELS").rename(tmp_path / "away")
    with pytest.raises(MedsegError, match="has no folder 'LABELS'"):
        gastric.prepare(source, tmp_path / "out")
    (tmp_path / "away").rename(source / "LABELS")
    with pytest.raises(MedsegError, match="lie in one another"):
        gastric.prepare(source, source / "out")


KILLED = """
import os, signal, sys
from medseg.studies.gastric import prepare as gastric

def progress(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

gastric.prepare(sys.argv[1], sys.argv[2], workers=2, progress=progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_killed_preparation_leaves_the_old_dataset_and_the_next_one_starts_clean(source, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(source), str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert list(tmp_path.glob(".out.*.partial"))
    with pytest.raises(MedsegError, match="does not exist"):
        index.load(out)
    before = gastric.prepare(source, out, seed=1).fingerprint
    assert not list(tmp_path.glob(".out.*.partial"))
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert index.load(out).fingerprint == before


def test_a_picture_of_two_patients_can_be_left_out_of_training_with_all_that_was_made_of_it(source, tmp_path):
    for patient in ("P0", "P1"):
        put(source, f"{patient}/b", phase=2, seed=99)
    named = gastric.prepare(source, tmp_path / "named", overlay="off")
    [entry] = named.info["duplicates"]
    assert {entry["first"], entry["second"]} == {"P0/b", "P1/b"}
    left = gastric.prepare(source, tmp_path / "left", overlay="off", drop_duplicates=True)
    [gone] = set(named.index["case_id"]) - set(left.index["case_id"])
    split_of = dict(zip(named.index["case_id"], named.index["split"], strict=True))
    [stays] = {"P0/b", "P1/b"} - {gone}
    assert index.SPLITS.index(split_of[gone]) < index.SPLITS.index(split_of[stays])
    [reason] = [reason for file, reason in rejected(left).items() if file == f"DICOM/{gone[:2]}/ENDO/b.dcm"]
    assert reason.startswith(f"looks the same as {stays} (")
    assert not [path for path in content(left.folder) if gone in path]
    assert [path for path in content(named.folder) if gone in path]
    for table in ("files.csv", "labels.csv"):
        assert list(pd.read_csv(left.folder / table)["case_id"]) == list(left.index["case_id"])
    assert gone not in (left.folder / "annotations.xml").read_text("utf-8")
    assert sum(sum(counts.values()) for counts in left.info["phases"].values()) == len(left.index)


def test_colours_that_are_not_what_the_header_says_are_counted_and_named(source, tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("SC_rgb_dcmtk_+eb+cy+n1.dcm", download=False))
    dataset.PhotometricInterpretation = "RGB"
    dataset.save_as(buffer := io.BytesIO())
    square = [np.array([[10, 10], [50, 10], [50, 50], [10, 50]], float)]
    put(source, "P0/b", phase=2, polygons=square, image=buffer.getvalue())
    data = gastric.prepare(source, tmp_path / "out", overlay="off")
    said = f"1 of the files: {dicom.YBR_NOTE} (DICOM/P0/ENDO/b.dcm)."
    assert [note for note in data.info["notes"] if "RGB" in note] == [said]
