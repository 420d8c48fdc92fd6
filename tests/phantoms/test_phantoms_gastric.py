import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from medseg.datasets import dicom
from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError
from medseg.studies.gastric import labels as gastric_labels
from medseg.studies.gastric.outputs import draw
from phantoms.gastric import sample as gastric
from phantoms.gastric.frames import PAL, VGA, film, outline
from phantoms.gastric.sample import sample_faults, sample_oddities, write_gastric_sample


@pytest.fixture(scope="module")
def frames():
    """One frame with the lesion and one without of a patient of each phase."""
    return {phase: list(film(VGA, 0, phase, phase, (True, False))) for phase in (1, 2, 3, 4)}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gastric, "FRAMES_PER_PATIENT", (3, 3, 2, 2))
        yield write_gastric_sample(tmp_path_factory.mktemp("gastric") / "raw", patients=4)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_frame_shows_mucosa_in_a_window_beside_a_panel_of_text(frames):
    for with_lesion, without in frames.values():
        for frame in (with_lesion, without):
            assert (frame.image.shape, frame.image.dtype) == ((480, 640, 3), np.uint8)
            red, green, blue = frame.image[frame.window].mean(axis=0)
            assert red > 1.2 * green > 1.2 * blue
            assert frame.image[frame.window].mean() > 50
            assert frame.image[:, :140].max() > 150  # the text
            assert not frame.window[:, :142].any()
            assert not frame.window[:50, :170].any()
        assert 0.02 < with_lesion.lesion.mean() < 0.35
        assert not without.lesion.any()
        assert not (with_lesion.lesion & ~with_lesion.window).any()


def test_the_published_geometry_covers_the_text_of_one_size_and_not_of_the_other(frames):
    text = (frames[1][0].image.max(axis=2) > 100) & ~frames[1][0].window
    assert text.any()
    assert not text[50:, 142:].any()
    assert not text[:50, 170:].any()
    (wide,) = film(PAL, 0, 5, 1, (True,))
    assert wide.image.shape == (576, 720, 3)
    assert ((wide.image.max(axis=2) > 40) & ~wide.window)[:, 142:].any()


def test_the_four_phases_look_different(frames):
    looks = {}
    for phase, (frame, _) in frames.items():
        ring = cv2.dilate(frame.lesion.astype(np.uint8), np.ones((41, 41))).astype(bool) & ~frame.lesion & frame.window
        own, around = (frame.image[where].astype(float).mean(axis=0) for where in (frame.lesion, ring))
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY).astype(float)
        rough = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.5), cv2.CV_64F))[frame.lesion].mean()
        looks[phase] = np.append(np.log(own[1:] / own[0]) - np.log(around[1:] / around[0]), rough)
    assert looks[1][0] > 0  # pale: less red than what surrounds it
    assert looks[2][0] < 0  # red
    assert looks[4][0] < 0
    assert looks[4][2] > 1.3 * looks[1][2]  # a fungating mass is rougher than a flat lesion
    for first in range(1, 5):
        for second in range(first + 1, 5):
            assert np.linalg.norm(looks[first] - looks[second]) > 0.08


def test_the_outline_is_the_lesion(frames):
    for frame, _ in frames.values():
        drawn = draw(gastric_labels.Lesion(1, (outline(frame.lesion),)), VGA.size) > 0
        both, either = (drawn & frame.lesion).sum(), (drawn | frame.lesion).sum()
        assert both / either > 0.97


def test_sound_files_are_read_and_have_the_lesion_of_their_patient(sample):
    for patient in range(1, 5):
        folder = sample / "DICOM" / f"P{patient:03d}" / "ENDO"
        paths = sorted(folder.iterdir())
        phases = []
        for path in paths:
            assert dicom.read(path).pixels.shape == (480, 640, 3)
            lesion = gastric_labels.read(sample / "LABELS" / folder.parent.name / "ENDO" / f"{path.stem}.json")
            phases.append(lesion.phase)
        assert sorted(phases) == [0] + [patient] * (len(paths) - 1)


def test_every_oddity_is_what_it_says(sample):
    for oddity in sample_oddities():
        path = sample / oddity.path
        assert path.is_file(), oddity
        if oddity.kind in ("JPEG baseline", "MONOCHROME2"):
            read = dicom.read(path)
            assert oddity.kind == read.photometric or read.transfer_syntax.startswith("JPEG Baseline")
        elif oddity.kind == "UTF-8 label":
            assert gastric_labels.read(path).encoding == "utf-8"
        elif oddity.kind == "two polygons":
            assert len(gastric_labels.read(path).shapes) == 2
        else:
            assert path.suffix == ".DCM" or path.stem.count(".") > 2
    others = sorted(sample.glob("LABELS/P00*/ENDO/*.json"))
    encodings = [gastric_labels.read(path).encoding for path in others]
    assert encodings.count("utf-8") == 1


def test_every_fault_is_one_and_there_is_one_of_each_kind(sample):
    faults = sample_faults()
    assert json.loads((sample / "sample.json").read_text())["faults"] == [fault._asdict() for fault in faults]
    assert len({fault.kind for fault in faults}) == len(faults) == 11
    named = {fault.path for fault in faults}
    for fault in faults:
        path = sample / fault.path
        other = sample / fault.path.replace("LABELS", "DICOM").replace(".json", ".dcm")
        if fault.kind == "truncated DICOM":
            with pytest.raises(BadFile, match="truncated"):
                dicom.read(path)
        elif fault.kind == "label without image":
            assert path.is_file()
            assert not other.exists()
        elif fault.kind == "image without label":
            assert dicom.read(path)
            assert not (sample / fault.path.replace("DICOM", "LABELS").replace(".dcm", ".json")).exists()
        elif fault.kind == "outside the picture":
            with pytest.raises(BadFile, match="outside"):
                draw(gastric_labels.read(path), VGA.size)
        else:
            assert dicom.read(other)
            with pytest.raises(BadFile):
                gastric_labels.read(path)
    inside = {path for path in content(sample) if gastric.TROUBLE in path}
    assert len(inside) == len(named) + len(named) - 2  # a partner each, save for the two that lack one


def test_same_arguments_give_the_same_bytes_and_a_complete_sample_is_left_alone(tmp_path, monkeypatch, sample):
    monkeypatch.setattr(gastric, "FRAMES_PER_PATIENT", (3, 3, 2, 2))
    before = content(sample)
    again = write_gastric_sample(tmp_path / "raw", patients=4)
    assert content(again) == before
    (again / "trace").touch()
    write_gastric_sample(again, patients=4)
    assert (again / "trace").exists()
    monkeypatch.setattr(gastric, "_write_patient", lambda *_: None)
    write_gastric_sample(again, patients=4, seed=1)
    assert not (again / "trace").exists()  # replaced as a whole


def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gastric, "_put", fail)
    with pytest.raises(MedsegError, match="disk is full"):
        write_gastric_sample(tmp_path / "raw", patients=4)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_other_content_and_bad_arguments_are_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(MedsegError, match="something other than sample data"):
        write_gastric_sample(tmp_path)
    assert (tmp_path / "holiday.jpg").exists()
    for options in ({"patients": 3}, {"seed": -1}):
        with pytest.raises(MedsegError, match="expected 4 or more, and 0 or more"):
            write_gastric_sample(tmp_path / "raw", **options)


def test_encoding_raises_no_warning(frames):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("", "MONOCHROME2", "JPEG baseline"):
            assert gastric.encode_dicom(frames[1][0].image, "P001", "a", kind)[128:132] == b"DICM"
