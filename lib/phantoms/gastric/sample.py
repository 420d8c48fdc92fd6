"""The gastric study's sample data: imagined gastroscopies as DICOM files with JSON labels, in the public layout.

Every picture is procedural; see :mod:`phantoms.gastric.frames`. Some files are odd but sound, and some
are broken on purpose, as in real collections, so that the preparation has something to cope with.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from medseg.errors import MedsegError
from phantoms import sample_folder
from phantoms.gastric.frames import PAL, VGA, Frame, Recorder, film, outline

VERSION = 2  # to be raised with every change of the pictures: older samples are then drawn anew
PATIENTS = 32
FRAMES_PER_PATIENT = (4, 5, 3, 4)  # of the 1st to 4th patient, and so on in turn; the last frame shows no lesion
TROUBLE = "P900"  # the patient folder of all broken files

_ENDOSCOPIC_IMAGE = UID("1.2.840.10008.5.1.4.1.1.77.1.1")  # VL Endoscopic Image Storage
_JPEG_QUALITY = 92


class Oddity(NamedTuple):
    """A sound file that a careless reader stumbles over; ``path`` is relative to the sample's folder."""

    path: str
    kind: Literal["JPEG baseline", "MONOCHROME2", "UTF-8 label", "dots in the name", "suffix .DCM", "two polygons"]


class Fault(NamedTuple):
    """A file that is broken on purpose; ``path`` is relative to the sample's folder."""

    path: str
    kind: Literal[
        "truncated DICOM", "label without image", "image without label", "no polygon", "one point", "two points",
        "outside the picture", "phase 0", "phase 5", "missing key", "wrong encoding",
    ]  # fmt: skip


def sample_oddities() -> list[Oddity]:
    """The sound but unusual files of every sample of four patients or more, one line for each kind."""
    return [
        Oddity("DICOM/P001/ENDO/1.2.410.200010.1.dcm", "dots in the name"),
        Oddity("LABELS/P001/ENDO/P001_02.json", "UTF-8 label"),
        Oddity("DICOM/P002/ENDO/P002_01.dcm", "MONOCHROME2"),
        Oddity("DICOM/P002/ENDO/P002_02.DCM", "suffix .DCM"),
        Oddity("DICOM/P003/ENDO/P003_01.dcm", "JPEG baseline"),
        Oddity("LABELS/P004/ENDO/P004_01.json", "two polygons"),
    ]


def sample_faults() -> list[Fault]:
    """The broken files of every sample, one of each kind."""
    label, image = f"LABELS/{TROUBLE}/ENDO", f"DICOM/{TROUBLE}/ENDO"
    return [
        Fault(f"{image}/truncated.dcm", "truncated DICOM"),
        Fault(f"{label}/label_alone.json", "label without image"),
        Fault(f"{image}/image_alone.dcm", "image without label"),
        Fault(f"{label}/no_polygon.json", "no polygon"),
        Fault(f"{label}/one_point.json", "one point"),
        Fault(f"{label}/two_points.json", "two points"),
        Fault(f"{label}/outside.json", "outside the picture"),
        Fault(f"{label}/phase_0.json", "phase 0"),
        Fault(f"{label}/phase_5.json", "phase 5"),
        Fault(f"{label}/missing_key.json", "missing key"),
        Fault(f"{label}/encoding.json", "wrong encoding"),
    ]


def write_gastric_sample(folder: Path, *, patients: int = PATIENTS, seed: int = 0) -> Path:
    """Draw the sample, or leave it as it is where the same one is there already.

    ``DICOM/P001/ENDO/P001_01.dcm`` with ``LABELS/P001/ENDO/P001_01.json`` and so on. Patient n has a lesion of phase
    1 + (n - 1) % 4 in all frames but the last; that one's label has ``"phase_id": null`` and no annotation. Frames are
    640 x 480, with the burned-in panel where the published geometry expects it; every fifth patient's are 720 x 576,
    with a wider panel. Labels are in EUC-KR. Some files are as :func:`sample_oddities` says, those of
    :func:`sample_faults` are broken. The same arguments give the same bytes on the same machine.

    Args:
        folder: the sample's folder; appears, or is replaced, as a whole.
        patients: at least 4; the broken files are those of one more.
        seed: of everything; 0 or more.

    Returns:
        ``folder``.

    Raises:
        MedsegError: ``folder`` holds something else, an argument is out of range, or the disk refused.
    """
    if patients < 4 or seed < 0:
        raise MedsegError(f"patients is {patients} and seed {seed}; expected 4 or more, and 0 or more.")
    folder = Path(folder)
    marker = {
        "what": "procedural sample data of the gastric study; no patient was examined",
        "version": VERSION,
        "seed": seed,
        "patients": patients,
        "oddities": [oddity._asdict() for oddity in sample_oddities()],
        "faults": [fault._asdict() for fault in sample_faults()],
    }

    def jobs(draft: Path) -> Iterator[Callable[[], None]]:
        yield from (partial(_write_patient, draft, seed, number) for number in range(1, patients + 1))
        yield partial(_write_faults, draft, seed)

    return sample_folder.write(folder, marker, jobs, finish=lambda draft: None)


def phase_of(patient: int) -> int:
    """Phase of the lesion of the patient with this number, from 1."""
    return 1 + (patient - 1) % 4


def recorder_of(patient: int) -> Recorder:
    """The recorder of the patient with this number, from 1."""
    return VGA if patient % 5 else PAL


def _write_patient(folder: Path, seed: int, patient: int) -> None:
    name = f"P{patient:03d}"
    kinds = {Path(oddity.path).parts[1:2] + (Path(oddity.path).stem,): oddity for oddity in sample_oddities()}
    count = FRAMES_PER_PATIENT[(patient - 1) % len(FRAMES_PER_PATIENT)]
    shows = (True,) * (count - 1) + (False,)
    for number, frame in enumerate(film(recorder_of(patient), seed, patient, phase_of(patient), shows), 1):
        stem = "1.2.410.200010.1" if (patient, number) == (1, 1) else f"{name}_{number:02d}"
        oddity = kinds.get((name, stem))
        kind = oddity.kind if oddity else ""
        suffix = ".DCM" if kind == "suffix .DCM" else ".dcm"
        _put(folder / "DICOM" / name / "ENDO" / (stem + suffix), encode_dicom(frame.image, name, stem, kind))
        polygons = [outline(frame.lesion)] if frame.lesion.any() else []
        if kind == "two polygons":
            polygons = _halves(frame)
        label = label_of(name, stem, phase_of(patient) if polygons else None, polygons)
        text = json.dumps(label, ensure_ascii=False, indent=1)
        _put(
            folder / "LABELS" / name / "ENDO" / f"{stem}.json",
            text.encode("utf-8" if kind == "UTF-8 label" else "euc-kr"),
        )


def label_of(patient: str, stem: str, phase: int | None, polygons: list[np.ndarray]) -> dict:
    """A label as the public set has them: ``image.phase_id`` and ``image.annotations[].polygon``, Korean text."""
    return {
        "patient": {"id": patient, "name": "견본 환자", "note": "가상의 자료입니다"},
        "image": {
            "file_name": f"{stem}.dcm",
            "phase_id": phase,
            "annotations": [
                {"id": number, "name": "병변", "polygon": polygon.tolist()}
                for number, polygon in enumerate(polygons, 1)
            ],
        },
    }


def _halves(frame: Frame) -> list[np.ndarray]:
    """The lesion as two outlines that overlap in the middle: their union is meant."""
    middle = int(np.median(np.nonzero(frame.lesion)[1]))
    columns = np.arange(frame.lesion.shape[1])
    return [outline(frame.lesion & (columns < middle + 6)), outline(frame.lesion & (columns > middle - 6))]


def _write_faults(folder: Path, seed: int) -> None:
    (frame,) = film(VGA, seed, 900, 2, (True,))
    sound = outline(frame.lesion)
    for fault in sample_faults():
        stem = Path(fault.path).stem
        data = encode_dicom(frame.image, TROUBLE, stem)
        if fault.kind == "truncated DICOM":
            data = data[: len(data) * 2 // 5]
        label = label_of(TROUBLE, stem, 2, [sound])
        if fault.kind in ("no polygon", "one point", "two points"):
            points = {"no polygon": 0, "one point": 1, "two points": 2}[fault.kind]
            label["image"]["annotations"] = label["image"]["annotations"][: min(points, 1)]
            for annotation in label["image"]["annotations"]:
                annotation["polygon"] = annotation["polygon"][:points]
        elif fault.kind == "outside the picture":
            label["image"]["annotations"][0]["polygon"] = (sound + (VGA.size[0], 0)).tolist()
        elif fault.kind in ("phase 0", "phase 5"):
            label["image"]["phase_id"] = int(fault.kind[-1])
        elif fault.kind == "missing key":
            del label["image"]["annotations"]
        text = json.dumps(label, ensure_ascii=False, indent=1)
        if fault.kind != "label without image":
            _put(folder / "DICOM" / TROUBLE / "ENDO" / f"{stem}.dcm", data)
        if fault.kind != "image without label":
            encoding = "utf-16" if fault.kind == "wrong encoding" else "euc-kr"
            _put(folder / "LABELS" / TROUBLE / "ENDO" / f"{stem}.json", text.encode(encoding))


def encode_dicom(image: np.ndarray, patient: str, stem: str, kind: str = "") -> bytes:
    """A DICOM file of ``image`` (H, W, 3) uint8 RGB: explicit little endian, or as a ``kind`` of :class:`Oddity`."""
    uid = generate_uid(entropy_srcs=["medseg sample", patient, stem, hashlib.sha256(image.tobytes()).hexdigest()])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _ENDOSCOPIC_IMAGE, uid
    meta.TransferSyntaxUID = JPEGBaseline8Bit if kind == "JPEG baseline" else ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = _ENDOSCOPIC_IMAGE, uid, "ES"
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = f"SAMPLE^{patient}", patient, "20010102"
    dataset.Rows, dataset.Columns = image.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    if kind == "MONOCHROME2":
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelData = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).tobytes()
    else:
        dataset.PlanarConfiguration = 0
        dataset.PixelData = image.tobytes()
    if kind == "JPEG baseline":
        coded = io.BytesIO()
        Image.fromarray(image).save(coded, "JPEG", quality=_JPEG_QUALITY)  # YCbCr, 4:2:0
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.LossyImageCompression = "01"
        dataset.PixelData = encapsulate([coded.getvalue()])
        dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
