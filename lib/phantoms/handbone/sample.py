"""The hand-bone study's sample data: imagined hand X-rays with labelled bones, in the public layout.

Every picture is procedural; see :mod:`phantoms.handbone.skeleton` and
:mod:`phantoms.handbone.shading`. Some labels are odd but sound, and some files are broken on purpose, as in
real collections, so that the preparation has something to cope with.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from medseg.errors import MedsegError
from phantoms import sample_folder
from phantoms.handbone.outlines import cut
from phantoms.handbone.patient import Patient, Seed, generator, imagine_patient
from phantoms.handbone.shading import radiograph
from phantoms.handbone.skeleton import Side, pose_hand

VERSION = 1  # to be raised with every change of the pictures: older samples are then drawn anew
PATIENTS = 20
TABLE = "meta_data.csv"
TROUBLE = "ID900"  # the patient folder of all broken files

#: Columns of the public table: age, sex, weight, height, and one without a name that holds remarks.
HEADER = ("ID", "나이", "성별", "체중(몸무게)", "키(신장)", "Unnamed: 5")

_FIRST = 1661130828152  # names are times in ms
_SMALLEST = 128  # pixels: below that a gap between two bones is lost

Outlines = list[tuple[str, np.ndarray]]


class Oddity(NamedTuple):
    """A sound file or patient that a careless reader stumbles over; ``path`` is relative to the sample's folder."""

    path: str
    kind: Literal["side in the name", "two polygons", "unknown label", "missing class", "patient not in the table"]


class Fault(NamedTuple):
    """A file that is broken on purpose; ``path`` is relative to the sample's folder."""

    path: str
    kind: Literal["broken JSON", "image without JSON", "JSON without image"]


def sample_oddities() -> list[Oddity]:
    """The unusual but sound files of every sample, one line for each kind.

    ``finger-11`` of the third picture is given as two polygons, which share an edge; the sixth has one annotation too
    many, of the unknown class "Trapezuim"; the seventh has no Pisiform.
    """
    return [
        Oddity(_paths(1, "R")[0], "side in the name"),
        Oddity(_paths(2, "R")[1], "two polygons"),
        Oddity(_paths(3, "L")[1], "unknown label"),
        Oddity(_paths(4, "R")[1], "missing class"),
        Oddity("DCM/ID005", "patient not in the table"),
    ]


def sample_faults() -> list[Fault]:
    """The broken files of every sample, one of each kind."""
    return [
        Fault(f"outputs_json/{TROUBLE}/image1661999000001.json", "broken JSON"),
        Fault(f"DCM/{TROUBLE}/image1661999000002.png", "image without JSON"),
        Fault(f"outputs_json/{TROUBLE}/image1661999000003.json", "JSON without image"),
    ]


def draw_hand(seed: Seed, size: int, side: Side) -> tuple[np.ndarray, Outlines]:
    """Draw one X-ray of a hand.

    Args:
        seed: of everything: 0 or more, or several such numbers. Both sides with one seed are one person's hands.
        size: of the picture's sides, in pixels, at least 128; the public pictures have 2048.
        side: "R" (thumb on the left) or "L", its mirror image in another pose.

    Returns:
        The picture, uint8 (size, size), and for each of :data:`medseg.studies.handbone.bones.CLASSES` in order its name
        and outline, float64 (n, 2): continuous points (x, y) within 0..size, whole pixels from 2048 on, tenths below.

    Raises:
        ValueError: an argument is out of range.
    """
    if size < _SMALLEST or side not in ("L", "R"):
        raise ValueError(f"expected a size of {_SMALLEST} or more and side L or R, got {size} and {side!r}")
    hand = pose_hand(seed, size, side)
    picture = radiograph(hand, generator(seed, 4, side == "R"))
    return picture, [(bone.name, bone.outline) for bone in hand.bones]


def write_hand_sample(folder: Path, *, patients: int = PATIENTS, size: int = 512, seed: int = 0) -> Path:
    """Draw the sample, or leave it as it is where the same one is there already.

    ``DCM/ID001/image1661130828152_R.png`` with ``outputs_json/ID001/image1661130828152_R.json`` and so on: two pictures
    a patient, the right hand and then the left one, whose names say so in every fourth patient only. ``meta_data.csv``
    (UTF-8 with byte order mark, Korean headers as in the public table) holds age, sex, weight in kg and height in cm,
    under the folder's number. Some files are as :func:`sample_oddities` says, those of :func:`sample_faults` are
    broken. The same arguments give the same bytes on the same machine.

    Args:
        folder: the sample's folder; appears, or is replaced, as a whole.
        patients: 5 to 899; the broken files are those of one more.
        size: of the pictures' sides, in pixels, at least 128; the public ones have 2048.
        seed: of everything; 0 or more.

    Returns:
        ``folder``.

    Raises:
        MedsegError: ``folder`` holds something else, an argument is out of range, or the disk refused.
    """
    if not 5 <= patients <= 899 or size < _SMALLEST or seed < 0:
        raise MedsegError(
            f"patients is {patients}, size {size} and seed {seed}; expected 5 to 899, {_SMALLEST} or more, and 0 or "
            "more."
        )
    folder = Path(folder)
    marker = {
        "what": "procedural sample data of the hand-bone study; no patient was X-rayed",
        "version": VERSION,
        "seed": seed,
        "patients": patients,
        "size": size,
        "oddities": [oddity._asdict() for oddity in sample_oddities()],
        "faults": [fault._asdict() for fault in sample_faults()],
    }

    def jobs(draft: Path) -> Iterator[Callable[[], None]]:
        yield from (partial(_write_patient, draft, seed, number, size) for number in range(1, patients + 1))
        yield partial(_write_faults, draft, seed, size)

    return sample_folder.write(folder, marker, jobs, finish=lambda draft: _write_table(draft, seed, patients))


def _paths(patient: int, side: Side) -> tuple[str, str]:
    """Image and label of a picture, relative to the sample's folder."""
    taken = _FIRST + (patient - 1) * 86_413_000 + (0 if side == "R" else 31_415)
    stem = f"image{taken}" + (f"_{side}" if patient % 4 == 1 else "")
    return f"DCM/ID{patient:03}/{stem}.png", f"outputs_json/ID{patient:03}/{stem}.json"


def _write_patient(folder: Path, seed: int, patient: int, size: int) -> None:
    odd = {oddity.path: oddity.kind for oddity in sample_oddities()}
    sides: tuple[Side, Side] = ("R", "L")
    for side in sides:
        image, label = _paths(patient, side)
        picture, outlines = draw_hand((seed, patient), size, side)
        _put(folder / image, cv2.imencode(".png", picture)[1].tobytes())
        _put(folder / label, _label(image, _made_odd(outlines, odd.get(label)), size))


def _made_odd(outlines: Outlines, kind: str | None) -> Outlines:
    if kind == "two polygons":
        name, whole = next(pair for pair in outlines if pair[0] == "finger-11")
        level = float(np.round(whole[:, 1].mean()))
        halves = [(name, np.round(cut(whole, 1, level, below=below), 1)) for below in (True, False)]
        return [pair for pair in outlines if pair[0] != name] + halves
    if kind == "unknown label":
        return [*outlines, ("Trapezuim", dict(outlines)["Trapezium"])]
    if kind == "missing class":
        return [pair for pair in outlines if pair[0] != "Pisiform"]
    return outlines


def _write_faults(folder: Path, seed: int, size: int) -> None:
    for number, fault in enumerate(sample_faults()):
        stem = Path(fault.path).stem
        image, label = f"DCM/{TROUBLE}/{stem}.png", f"outputs_json/{TROUBLE}/{stem}.json"
        picture, outlines = draw_hand((seed, int(TROUBLE[2:])), size, "L" if number == 1 else "R")
        text = _label(image, outlines, size)
        if fault.kind != "JSON without image":
            _put(folder / image, cv2.imencode(".png", picture)[1].tobytes())
        if fault.kind != "image without JSON":
            _put(folder / label, text[: len(text) // 2] if fault.kind == "broken JSON" else text)


def _label(image: str, outlines: Outlines, size: int) -> bytes:
    """The label file of a picture, as the public tool writes it."""
    whole = size >= 2048
    file = Path(image)
    annotations: list[dict[str, Any]] = [
        {
            "id": _identity(f"{image}/{number}")[:8],
            "type": "poly_seg",
            "attributes": {},
            "points": [[int(v) if whole else round(float(v), 1) for v in point] for point in outline],
            "label": name,
        }
        for number, (name, outline) in enumerate(outlines)
    ]
    content = {
        "annotations": annotations,
        "attributes": {},
        "file_id": _identity(image),
        "filename": file.name,
        "parent_path": f"/{file.parent.name}",
        "last_modifier_id": "",
        "metadata": {"height": size, "width": size},
        "last_workers": "",
    }
    return json.dumps(content).encode()


def _identity(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _write_table(folder: Path, seed: int, patients: int) -> None:
    absent = {oddity.path for oddity in sample_oddities() if oddity.kind == "patient not in the table"}
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(HEADER)
    for number in (*range(1, patients + 1), int(TROUBLE[2:])):
        if f"DCM/ID{number:03}" not in absent:
            table.writerow(_row(number, imagine_patient((seed, number))))
    _put(folder / TABLE, buffer.getvalue().encode("utf-8-sig"))


def _row(number: int, patient: Patient) -> tuple[object, ...]:
    sex = "여" if patient.sex == "F" else "남"
    return number, patient.age, sex, patient.weight, patient.height, "네일아트" if number == 3 else ""


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
