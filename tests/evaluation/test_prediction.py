"""New pictures, DICOM files and videos through a trained run, into a folder."""

import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from predicting import codes, predict
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from medseg.errors import MedsegError
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.masks import rle
from medseg.masks import submission as files
from medseg.prediction import sources, video
from medseg.prediction.likeness import Likeness

RULES = {"thresholds": "fixed", "postprocess": "none", "crf": False}


def table(out):
    return pd.read_csv(out / "predictions.csv", keep_default_na=False)


def mask(out, name):
    with Image.open(out / "masks" / f"{name}.png") as image:
        return np.asarray(image)


def write_dicom(path, pixels, spacing=None, kind=None):
    """A file of one or several frames, (H, W, 3) or (N, H, W, 3) uint8; ``kind`` of object None: the one for it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    of_frames = SecondaryCaptureImageStorage if pixels.ndim == 3 else MultiFrameTrueColorSecondaryCaptureImageStorage
    kind = kind or of_frames
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientID = made.PatientName = "p"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.StudyID = ""
    made.AccessionNumber = made.ReferringPhysicianName = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = "OT", 1, 1
    *frames, made.Rows, made.Columns, made.SamplesPerPixel = pixels.shape
    if frames:
        made.NumberOfFrames = frames[0]
    made.PhotometricInterpretation, made.PlanarConfiguration = "RGB", 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    if spacing:
        made.PixelSpacing = list(spacing)
    made.PixelData = pixels.tobytes()
    made.save_as(path, enforce_file_format=True)


@pytest.fixture
def polyps(run_of, discs, brightness):
    """A run, scored with a threshold of its own."""
    run = run_of(discs)
    evaluate(run, segmenter(run, brightness, discs, threshold=0.3), discs)
    return run


def test_masks_are_pixel_by_pixel_those_that_were_scored(polyps, discs, brightness, tmp_path):
    out = tmp_path / "out"
    said = predict([polyps], [brightness], discs.folder / "images", out, probabilities="png")
    assert said.endswith(f"out: {len(discs.index)} pictures predicted")
    scored = [row for name in ("A", "B") for row in files.read(polyps.folder / "predictions" / f"{name}.csv")]
    assert len(scored) == 5
    for row in scored:
        found = mask(out, row.image_name.removeprefix("a/"))
        assert np.array_equal(found, rle.decode(row.rle, found.shape))
    picture = cv2.imread(str(discs.folder / "images" / "1.png"), cv2.IMREAD_GRAYSCALE)
    kept = cv2.imread(str(out / "probabilities" / "1.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(kept / 65535, picture / 255, atol=1e-5)
    rows = table(out).set_index("picture")
    assert rows.loc[1, "pixels"] == np.count_nonzero(mask(out, "1"))
    assert rows.loc[1, "regions"] == 1
    assert rows.loc[1, "highest_probability"] == pytest.approx(picture.max() / 255, abs=1e-4)
    assert rows.loc[3, "flags"].startswith("nothing found")
    assert json.loads((out / "prediction.json").read_text())["thresholds"] == [0.3]


def test_an_overlay_is_the_picture_with_outlines(polyps, discs, brightness, tmp_path):
    predict([polyps], [brightness], discs.folder / "images" / "1.png", tmp_path / "out")
    plain = cv2.imread(str(discs.folder / "images" / "1.png")).astype(int)
    drawn = cv2.imread(str(tmp_path / "out" / "overlays" / "1.jpg")).astype(int)
    edge = cv2.morphologyEx(mask(tmp_path / "out", "1"), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert np.ptp(drawn[edge], axis=-1).mean() > 40
    far = cv2.dilate(edge.astype(np.uint8), np.ones((9, 9))) == 0
    assert abs(drawn - plain)[far].mean() < 4


def test_what_is_done_is_not_done_again_and_one_bad_file_never_stops_the_rest(polyps, discs, tmp_path):
    folder, out, seen = tmp_path / "new", tmp_path / "out", []
    shutil.copytree(discs.folder / "images", folder)
    (folder / "0.png").write_bytes(b"no picture")

    def watched(pictures):
        seen.append(len(pictures))
        return [picture[..., 0].astype(np.float32) / 255 for picture in pictures]

    assert "6 pictures predicted, 1 rejected (rejected.csv)" in predict([polyps], [watched], folder, out)
    assert pd.read_csv(out / "rejected.csv").values.tolist()[0][0] == "0.png"
    whole = (out / "predictions.csv").read_text()
    (out / "predictions.csv").write_text(whole[:-20])  # as a kill leaves it
    shutil.copy(discs.folder / "images" / "0.png", folder)
    seen.clear()
    assert "2 pictures predicted, 5 were there before" in predict([polyps], [watched], folder, out)
    assert len(seen) == 2
    assert not (out / "rejected.csv").exists()
    assert set(whole.splitlines()) <= set((out / "predictions.csv").read_text().splitlines())
    with pytest.raises(MedsegError, match="holds predictions with probabilities 'none', now it is 'npz'"):
        predict([polyps], [watched], folder, out, probabilities="npz")


def test_classes_of_a_map_have_their_numbers_names_and_probabilities(run_of, phase_dataset, phases, tmp_path):
    run, out = run_of(phase_dataset), tmp_path / "out"
    evaluate(run, segmenter(run, phases, phase_dataset), phase_dataset)
    predict([run], [phases], phase_dataset.folder / "images", out, probabilities="npz")
    for row in files.read(run.folder / "predictions" / "test.csv"):
        number = phase_dataset.info["classes"].index(row.class_name) + 1
        found = mask(out, row.image_name) == number
        assert np.array_equal(found, rle.decode(row.rle, found.shape).astype(bool)), row.image_name
    with Image.open(next((out / "masks").glob("*.png"))) as image:
        assert image.text["classes"].startswith(f"1 {phase_dataset.info['classes'][0]}, 2 ")
    rows = table(out)
    assert len(rows) == 4 * len(phase_dataset.index)
    first = rows[rows["pixels"] > 0].iloc[0]
    kept = np.load(out / "probabilities" / f"{first['picture']}.npz")[first["class"]]
    assert kept.max() == pytest.approx(first["highest_probability"], abs=1e-3)
    assert kept.max() == pytest.approx(0.92, abs=1e-3)


def test_overlapping_classes_have_a_folder_each_and_a_submission(run_of, polygon_dataset, right, tmp_path):
    run, out, rows = run_of(polygon_dataset, **RULES), tmp_path / "out", polygon_dataset.split("test")
    (tmp_path / "new").mkdir()
    for _, row in rows.iterrows():
        shutil.copy(polygon_dataset.path(row["image"]), tmp_path / "new" / row["image_name"])
    predict([run], [right], tmp_path / "new", out)
    found = codes(out)
    for (image_name, class_name), code in found.items():
        drawn = mask(out, f"{class_name}/{image_name.removesuffix('.png')}")
        assert np.array_equal(drawn, rle.decode(code, drawn.shape).astype(bool))
    assert len(found) == 3 * len(rows)
    again = tmp_path / "new" / "again"
    again.mkdir()
    shutil.copy(tmp_path / "new" / rows.iloc[0]["image_name"], again)
    assert f"no submission.csv: {rows.iloc[0]['image_name']} is there more than once" in predict(
        [run], [right], tmp_path / "new", out
    )


def test_dicom_files_have_areas_frames_and_segmentation_objects(polyps, discs, brightness, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    picture = np.full((40, 50, 3), 20, np.uint8)
    picture[10:20, 5:25] = 200
    (tmp_path / "new").mkdir()
    write_dicom(tmp_path / "new" / "one.dcm", picture, spacing=(0.5, 0.2))
    write_dicom(tmp_path / "new" / "IM0007", np.stack([picture, picture[::-1], picture * 0]))
    write_dicom(tmp_path / "new" / "wrong.dcm", np.stack([picture, picture[::-1]]), kind=SecondaryCaptureImageStorage)
    write_dicom(tmp_path / "new" / "bare.dcm", picture)
    bare = pydicom.dcmread(tmp_path / "new" / "bare.dcm")
    del bare.StudyInstanceUID
    bare.save_as(tmp_path / "new" / "bare.dcm")
    (tmp_path / "new" / "README").write_text("no DICOM")
    said = predict([polyps], [brightness], tmp_path / "new", tmp_path / "out", dicom_seg=True)
    assert "7 pictures predicted" in said
    rows = table(tmp_path / "out").set_index("picture")
    assert rows.loc["one", ["pixels", "area_mm2"]].tolist() == [200, "20"]
    assert rows.loc["IM0007/frame-0002", ["pixels", "area_mm2"]].tolist() == [200, ""]
    assert rows.loc["IM0007/frame-0003", "flags"].startswith("nothing found")
    one = highdicom.seg.segread(tmp_path / "out" / "dicom-seg" / "one.dcm")
    assert (one.Modality, one.SegmentSequence[0].SegmentLabel) == ("SEG", "polyp")
    assert np.array_equal(one.pixel_array.squeeze(), mask(tmp_path / "out", "one"))
    # Several frames need a frame of reference, which colour files have not.
    assert re.search(r"IM0007: no DICOM-SEG \(.*Frame of Reference", said)
    # Frames that its kind of object cannot have are not lost without a word.
    assert "wrong: no DICOM-SEG (it would hold 1 of 2 masks)" in said
    assert "bare: no DICOM-SEG (its header has no StudyInstanceUID)" in said
    assert [file.name for file in (tmp_path / "out" / "dicom-seg").iterdir()] == ["one.dcm"]


def make_video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for frame in frames:
        writer.write(frame)
    writer.release()


def test_a_video_becomes_masks_and_a_video(polyps, brightness, tmp_path):
    frames = [np.full((48, 64, 3), 20, np.uint8) for _ in range(6)]
    for number, frame in enumerate(frames):
        frame[10:30, 4 * number : 4 * number + 20] = 220
    make_video(tmp_path / "scope.avi", frames)
    out = tmp_path / "out"
    assert "6 pictures predicted" in predict([polyps], [brightness], tmp_path / "scope.avi", out)
    for number in range(6):
        columns = np.flatnonzero(mask(out, f"scope/frame-{number + 1:06d}").any(0))
        assert abs(columns.mean() - (4 * number + 9.5)) < 1
    drawn = list(video.frames(out / "overlays" / "scope.mp4"))
    assert len(drawn) == 6
    assert drawn[0].shape == (48, 64, 3)
    assert np.ptp(drawn[3][8:32].astype(int), axis=-1).max() > 60  # an outline in colour
    # A killed prediction goes on with the frames that are missing, and the whole video is drawn.
    lines = (out / "predictions.csv").read_text().splitlines(keepends=True)
    (out / "predictions.csv").write_text("".join(lines[:4]))
    (out / "overlays" / "scope.mp4").unlink()
    assert "3 pictures predicted, 3 were there before" in predict([polyps], [brightness], tmp_path / "scope.avi", out)
    assert len(list(video.frames(out / "overlays" / "scope.mp4"))) == 6
    assert "0 pictures predicted, 6 were there before" in predict([polyps], [brightness], tmp_path / "scope.avi", out)


def test_a_video_that_is_cut_off_is_predicted_as_far_as_it_goes(polyps, brightness, tmp_path):
    rng = np.random.default_rng(0)
    new, out = tmp_path / "new", tmp_path / "out"
    new.mkdir()
    make_video(tmp_path / "whole.avi", [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(30)])
    content = (tmp_path / "whole.avi").read_bytes()
    (new / "cut.avi").write_bytes(content[: len(content) // 2])
    (new / "broken.mp4").write_bytes(content[:2000][::-1])
    said = predict([polyps], [brightness], new, out)
    assert "1 rejected" in said
    done = len(table(out))
    assert 8 <= done < 25
    assert f"cut ended after {done} of 30 frames: the file is cut off" in said
    rejected = pd.read_csv(out / "rejected.csv")
    assert rejected.values.tolist() == [["broken.mp4", "not a video that OpenCV can read, or damaged"]]


def test_a_list_names_files_and_the_size_of_their_pixels(tmp_path):
    for name in ("a/1.png", "2.png", "2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4), np.uint8))
    listing = tmp_path / "list.csv"
    listing.write_text("id,image,spacing_y_mm,spacing_x_mm\nx,a/1.png,0.5,0.25\ny,2.png,,\nz,2.jpg,,\n")
    found = sources.find(listing)
    assert [source.name for source in found] == ["a/1", "2.png", "2.jpg"]
    assert [source.pixel_size() for source in found] == [(0.5, 0.25), None, None]
    for content, message in (
        ("image\n", "has no row"),
        ('image\n""\n', "line 2: the column image is empty"),
        ("image\n2.png\n2.png\n", "names a file more than once"),
        ("image,spacing_y_mm,spacing_x_mm\n2.png,0,1\n", "expected two sizes of a pixel"),
    ):
        listing.write_text(content)
        with pytest.raises(MedsegError, match=message):
            sources.find(listing)
    with pytest.raises(MedsegError, match="There is nothing at"):
        sources.find(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedsegError, match="holds no picture, DICOM file"):
        sources.find(tmp_path / "empty")


def test_grossly_unlike_pictures_are_flagged_and_like_ones_not(polyps, discs, brightness, tmp_path):
    rng = np.random.default_rng(0)
    usual = [rng.normal(100 + 10 * n, 30, (60, 80, 3)).clip(0, 255).astype(np.uint8) for n in range(5)]
    likeness = Likeness(usual)
    assert [likeness.unlike(picture) for picture in usual] == [[]] * 5
    assert likeness.unlike(rng.normal(125, 30, (90, 120, 3)).clip(0, 255).astype(np.uint8)) == []
    assert "brightness" in likeness.unlike(usual[0] // 8)
    assert "shape" in likeness.unlike(np.tile(usual[0], (1, 4, 1)))
    assert {"contrast", "sharpness"} <= set(likeness.unlike(cv2.GaussianBlur(usual[0], (0, 0), 6)))
    bright = usual[0].copy()
    bright[..., 2] = 0
    assert "colour" in likeness.unlike(bright)
    (tmp_path / "new").mkdir()
    cv2.imwrite(str(tmp_path / "new" / "x.png"), np.full((40, 200, 3), (0, 0, 255), np.uint8))
    predict([polyps], [brightness], tmp_path / "new", tmp_path / "out")
    assert "unlike the training pictures: " in table(tmp_path / "out")["flags"][0]
    assert "colour" in table(tmp_path / "out")["flags"][0]
    shutil.rmtree(discs.folder)
    assert "not checked whether pictures are like those trained on" in predict(
        [polyps], [brightness], tmp_path / "new", tmp_path / "other"
    )


def test_what_cannot_be_predicted_at_all_is_one_error(polyps, brightness, run_of, discs, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "x.png").write_bytes(b"")
    with pytest.raises(MedsegError, match=r"Nothing could be predicted. x.png: the file is empty"):
        predict([polyps], [brightness], tmp_path / "new", tmp_path / "out")
    polyps.update(status="failed")
    with pytest.raises(MedsegError, match="is failed: only a finished training predicts"):
        predict([polyps], [brightness], tmp_path / "new", tmp_path / "out")
    fitted = run_of(discs, thresholds="fitted")
    with pytest.raises(MedsegError, match="fitted by 3_evaluate"):
        predict([fitted], [brightness], tmp_path / "new", tmp_path / "out2")
