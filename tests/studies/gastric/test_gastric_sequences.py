"""DICOM files of several frames: a sequence of pictures, each with a label of its own."""

import io
import json

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from medseg.datasets import dicom
from medseg.datasets.folders import BadFile
from medseg.studies.gastric import prepare as gastric
from phantoms.gastric.sample import encode_dicom, label_of

SIZE = (120, 90)  # width, height
SQUARE = [[40, 20], [80, 20], [80, 60], [40, 60]]
VIDEO = """<annotations><version>1.1</version><meta><task><id>1</id><source>P1/clip.mp4</source>
<original_size><width>120</width><height>90</height></original_size></task></meta>
<track id="0" label="phase_3"><box frame="1" outside="0" keyframe="1" xtl="40" ytl="20" xbr="80" ybr="60"></box>
<box frame="2" outside="0" keyframe="0" xtl="41" ytl="20" xbr="80" ybr="60"></box>
<box frame="3" outside="1" keyframe="1" xtl="41" ytl="20" xbr="80" ybr="60"></box></track>
<track id="1" label="phase_3"><box frame="77" outside="0" xtl="1" ytl="1" xbr="8" ybr="6"></box>
<box frame="78" outside="0" xtl="1" ytl="1" xbr="8" ybr="6"></box></track></annotations>"""


def frame(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(60, 250, (SIZE[1], SIZE[0], 3), np.uint8)


def sequence(frames: int, *, compressed: bool = False) -> bytes:
    pictures = [frame(number) for number in range(frames)]
    dataset = pydicom.dcmread(io.BytesIO(encode_dicom(pictures[0], "P", "s")))
    dataset.NumberOfFrames = frames
    dataset.PixelData = b"".join(picture.tobytes() for picture in pictures)
    if compressed:
        coded = []
        for picture in pictures:
            Image.fromarray(picture).save(buffer := io.BytesIO(), "JPEG", quality=95)
            coded.append(buffer.getvalue())
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate(coded)
        dataset["PixelData"].VR = "OB"
    dataset.save_as(buffer := io.BytesIO(), enforce_file_format=True)
    return buffer.getvalue()


def put(root, place: str, data: bytes) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(data)


def label(phase: int) -> bytes:
    return json.dumps(label_of("P", "s", phase, [np.array(SQUARE)])).encode()


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "raw"
    put(root, "DICOM/P1/ENDO/clip.dcm", sequence(6))
    for number in (1, 2, 5):
        put(root, f"LABELS/P1/ENDO/clip-f000{number}.json", label(2))
    put(root, "LABELS/P1/ENDO/clip.json", label(2))
    for patient in (2, 3):
        put(root, f"DICOM/P{patient}/ENDO/a.dcm", encode_dicom(frame(90 + patient), "P", f"{patient}"))
        put(root, f"LABELS/P{patient}/ENDO/a.json", label(1))
    return root


def rejected(dataset) -> dict[str, str]:
    table = pd.read_csv(dataset.folder / "rejected.csv", keep_default_na=False)
    assert not table["file"].duplicated().any()
    return dict(zip(table["file"], table["reason"], strict=True))


@pytest.mark.parametrize("compressed", [False, True])
def test_one_frame_is_read_out_of_many_without_the_others(tmp_path, compressed, monkeypatch):
    path = tmp_path / "a.dcm"
    path.write_bytes(sequence(5, compressed=compressed))
    assert dicom.count_frames(path) == 5
    whole = dicom.pydicom.dcmread
    monkeypatch.setattr(
        dicom.pydicom, "dcmread", lambda *args, **options: whole(*args, **(options | {"stop_before_pixels": True}))
    )  # all pixels are never read at once
    for number in (3, 0):
        error = np.abs(dicom.read(path, number).pixels.astype(int) - frame(number))
        others = np.abs(dicom.read(path, number).pixels.astype(int) - frame(1))
        assert error.mean() <= (45 if compressed else 0) < others.mean() - 10


def test_a_cut_off_sequence_is_refused_and_a_picture_is_no_sequence(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(sequence(5)[:-4000])
    with pytest.raises(BadFile, match=r"truncated: \d+ bytes, its 5 pictures have 162000"):
        dicom.read(path, 0)
    with pytest.raises(BadFile, match="holds 5 pictures, expected one"):
        dicom.read(path)
    path.write_bytes(encode_dicom(frame(0), "P", "a"))
    assert dicom.count_frames(path) == 1


def test_labelled_frames_are_pictures_of_one_group_and_the_others_one_row(source, tmp_path):
    dataset = gastric.prepare(source, tmp_path / "out", overlay="off")
    assert list(dataset.index["case_id"]) == ["P1/clip-f0001", "P1/clip-f0002", "P1/clip-f0005", "P2/a", "P3/a"]
    assert set(dataset.index["group"][:3]) == {"P1"}
    assert set(dataset.index["source_image"][:3]) == {"DICOM/P1/ENDO/clip.dcm"}
    for number, row in ((0, 0), (1, 1), (4, 2)):
        shown = np.asarray(Image.open(dataset.path(dataset.index["image"][row])))
        np.testing.assert_array_equal(shown, frame(number))
    found = rejected(dataset)
    assert found.pop("LABELS/P1/ENDO/clip.json").endswith("label of its own, NAME-f0001.json and so on")
    assert found == {"DICOM/P1/ENDO/clip.dcm": "frames without label (3 frame(s): clip-f0003, clip-f0004, clip-f0006)"}


def test_tracks_of_a_video_label_its_frames(source, tmp_path):
    (tmp_path / "video.xml").write_text(VIDEO)
    (source / "LABELS/P1/ENDO/clip-f0005.json").unlink()
    dataset = gastric.prepare(source, tmp_path / "out", overlay="off", corrections=tmp_path / "video.xml")
    rows = dataset.index.set_index("case_id")
    assert rows["phase"].to_dict() == {
        "P1/clip-f0001": 2, "P1/clip-f0002": 3, "P1/clip-f0003": 3, "P2/a": 1, "P3/a": 1
    }  # fmt: skip
    second = np.asarray(Image.open(dataset.path(rows.loc["P1/clip-f0003", "label"])))
    assert np.argwhere(second == 3).min(axis=0).tolist() == [20, 41]
    found = rejected(dataset)
    assert found["video.xml: P1/clip"].endswith("(2 frames)")
    assert "(3 frame(s): clip-f0004" in found["DICOM/P1/ENDO/clip.dcm"]


def test_a_faulty_sequence_is_one_row_for_all_its_frames(source, tmp_path):
    put(source, "DICOM/P1/ENDO/clip.dcm", sequence(6)[:-4000])
    put(source, "DICOM/P4/ENDO/a.dcm", encode_dicom(frame(70), "P", "a"))
    put(source, "LABELS/P4/ENDO/a.json", label(1))
    dataset = gastric.prepare(source, tmp_path / "out", overlay="detect")
    assert list(dataset.index["case_id"]) == ["P2/a", "P3/a", "P4/a"]
    table = pd.read_csv(dataset.folder / "rejected.csv")
    reasons = table["reason"][table["file"] == "DICOM/P1/ENDO/clip.dcm"].tolist()
    assert len(reasons) == 2
    assert reasons[0].startswith("frames without label (3 frame(s)")
    assert reasons[1].startswith("truncated")
    assert reasons[1].endswith("(3 frame(s): clip-f0001, clip-f0002, clip-f0005)")


def test_a_sequence_beside_plain_pictures_has_the_labels_of_its_video(tmp_path):
    root = tmp_path / "raw"
    put(root, "images/P1/clip.dcm", sequence(6))
    put(root, "video.xml", VIDEO.encode())
    size = 'width="120" height="90"'
    boxes = ['<box label="Phase 3" xtl="40" ytl="20" xbr="80" ybr="60"></box>', "", '<polyline label="x"></polyline>']
    inside = "".join(f'<image name="P{n}/a.png" {size}>{box}</image>' for n, box in enumerate(boxes, 2))
    put(root, "more.xml", f"<annotations>{inside}</annotations>".encode())
    for patient in (2, 3, 4):
        (root / f"images/P{patient}").mkdir()
        Image.fromarray(frame(patient)).save(root / f"images/P{patient}/a.png")
    dataset = gastric.prepare(root, tmp_path / "out", overlay="off", shares=(0.4, 0.3, 0.3))
    assert dataset.info["classes"] == ["Phase 3"]
    assert dataset.index.set_index("case_id")["phase"].to_dict() == {
        "P1/clip-f0002": 1, "P1/clip-f0003": 1, "P2/a": 1, "P3/a": 0
    }  # fmt: skip
    assert set(dataset.index["group"]) == {"P1", "P2", "P3"}
    found = rejected(dataset)
    assert "a <polyline> encloses nothing" in found["more.xml: P4/a"]
    assert found["images/P1/clip.dcm"].startswith("frames without label (4 frame(s): clip-f0001")
