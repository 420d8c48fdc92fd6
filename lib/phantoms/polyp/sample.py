"""The polyp study's sample data: imagined colonoscopies in the layouts in which the public sets are distributed.

Every picture is procedural; see :mod:`phantoms.polyp.centres`. A few files are broken on purpose, as
in real collections, so that the preparation has something to reject.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import tifffile

from medseg.errors import MedsegError
from phantoms import sample_folder
from phantoms.polyp.centres import CENTRES, CLINICDB, COLONDB, ETIS, Centre, Frame, film

VERSION = 1  # to be raised with every change of the pictures: older samples are then drawn anew
SEQUENCES = {COLONDB.name: 32, CLINICDB.name: 8, ETIS.name: 8}
FRAMES_PER_SEQUENCE = 3


class Fault(NamedTuple):
    """A file that is broken on purpose; ``path`` is relative to the sample's folder."""

    path: str
    kind: Literal["truncated image", "no mask", "mask of another size", "empty mask"]


def sample_faults(frames_per_sequence: int = FRAMES_PER_SEQUENCE) -> list[Fault]:
    """The broken files of a sample, one of each kind.

    They are frames of one more sequence at each centre, numbered after the sound ones.
    """
    first = {name: count * frames_per_sequence + 1 for name, count in SEQUENCES.items()}
    clinic, colon, etis = (first[centre.name] for centre in (CLINICDB, COLONDB, ETIS))
    return [
        Fault(_paths(CLINICDB, clinic)[0], "truncated image"),
        Fault(_paths(CLINICDB, clinic + 1)[0], "no mask"),
        Fault(_paths(COLONDB, colon)[1], "mask of another size"),
        Fault(_paths(ETIS, etis)[1], "empty mask"),
    ]


def write_polyp_sample(folder: Path, *, frames_per_sequence: int = FRAMES_PER_SEQUENCE, seed: int = 0) -> Path:
    """Draw the sample, or leave it as it is where the same one is there already.

    ``CVC-ColonDB/N.bmp`` with ``pN.bmp`` (574 x 500), ``CVC-ClinicDB/Original/N.tif`` with ``Ground Truth/N.tif``
    (384 x 288, three channels tagged as grey, masks with impure values), ``ETIS-LaribPolypDB/ETIS-LaribPolypDB/N.tif``
    with ``ETIS-LaribPolypDB/Ground Truth/pN.tif`` (1225 x 966). Each centre has a ``sequences.csv`` with the columns
    ``file`` (name of an image) and ``sequence``. Files of :func:`sample_faults` are broken. The same arguments give
    the same bytes on the same machine.

    Args:
        folder: the sample's folder; appears, or is replaced, as a whole.
        frames_per_sequence: at least 1; there are :data:`SEQUENCES` sequences.
        seed: of everything; 0 or more.

    Returns:
        ``folder``.

    Raises:
        MedsegError: ``folder`` holds something else, an argument is out of range, or the disk refused.
    """
    if frames_per_sequence < 1 or seed < 0:
        raise MedsegError(
            f"frames_per_sequence is {frames_per_sequence} and seed {seed}; expected 1 or more, and 0 or more."
        )
    folder = Path(folder)
    faults = sample_faults(frames_per_sequence)
    marker = {
        "what": "procedural sample data of the polyp study; no patient was filmed",
        "version": VERSION,
        "seed": seed,
        "frames_per_sequence": frames_per_sequence,
        "counts": {name: count * frames_per_sequence for name, count in SEQUENCES.items()},
        "faults": [fault._asdict() for fault in faults],
    }

    def jobs(draft: Path) -> Iterator[Callable[[], None]]:
        for centre in CENTRES:
            for number in range(SEQUENCES[centre.name]):
                yield partial(_write_sequence, draft, centre, seed, number, frames_per_sequence)
            yield partial(_write_faults, draft, centre, seed, faults)

    def finish(draft: Path) -> None:
        for centre in CENTRES:
            _write_table(draft, centre, frames_per_sequence, faults)

    return sample_folder.write(folder, marker, jobs, finish)


def _paths(centre: Centre, number: int) -> tuple[str, str]:
    """Image and mask of a frame, relative to the sample's folder."""
    if centre is COLONDB:
        return f"{centre.name}/{number}.bmp", f"{centre.name}/p{number}.bmp"
    if centre is CLINICDB:
        return f"{centre.name}/Original/{number}.tif", f"{centre.name}/Ground Truth/{number}.tif"
    return f"{centre.name}/{centre.name}/{number}.tif", f"{centre.name}/Ground Truth/p{number}.tif"


def _write_sequence(folder: Path, centre: Centre, seed: int, sequence: int, frames: int) -> None:
    for offset, frame in enumerate(film(centre, seed, sequence, frames)):
        number = sequence * frames + offset + 1
        image, mask = _paths(centre, number)
        _put(folder / image, _encode_image(centre, frame))
        _put(folder / mask, _encode_mask(centre, _mask(centre, frame, seed, number)))


def _write_faults(folder: Path, centre: Centre, seed: int, faults: list[Fault]) -> None:
    here = [fault for fault in faults if fault.path.startswith(f"{centre.name}/")]
    frames = film(centre, seed, SEQUENCES[centre.name], len(here))
    for fault, frame in zip(here, frames, strict=True):
        number = _number(fault.path)
        image, mask = _paths(centre, number)
        picture, values = _encode_image(centre, frame), _mask(centre, frame, seed, number)
        if fault.kind == "truncated image":
            picture = picture[: len(picture) * 2 // 5]
        elif fault.kind == "mask of another size":
            values = cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
        elif fault.kind == "empty mask":
            values = np.zeros_like(values)
        _put(folder / image, picture)
        if fault.kind != "no mask":
            _put(folder / mask, _encode_mask(centre, values))


def _number(path: str) -> int:
    return int(Path(path).stem.removeprefix("p"))


def _mask(centre: Centre, frame: Frame, seed: int, number: int) -> np.ndarray:
    """uint8 (height, width), 0 or 255; at ClinicDB with the grey values found there.

    Its annotations went on under the black border and were multiplied by it, and compression left stray values along
    the edge.
    """
    if centre is not CLINICDB:
        return np.where(frame.polyp & (frame.visible > 127), 255, 0).astype(np.uint8)
    rng = np.random.default_rng([seed, centre.number, 0, 0, number])
    share = frame.visible / 255
    under = centre.camera.window.black + rng.normal(0, 0.5, share.shape)
    values = np.rint(frame.polyp * (share * 255 + (1 - share) * under)).astype(np.uint8)
    edge = cv2.morphologyEx(frame.polyp.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    stray = edge & (frame.visible == 255) & (rng.random(share.shape) < 0.12)
    values[stray] = rng.integers(1, 255, int(stray.sum()))
    return values


def _encode_image(centre: Centre, frame: Frame) -> bytes:
    if centre is CLINICDB:
        # As that set's own files: readers that trust the tags see one grey channel with two more beside it.
        tags = {"photometric": "minisblack", "extrasamples": ("unspecified", "unspecified")}
        return _tiff(frame.image, **tags)
    return _encode(".bmp" if centre is COLONDB else ".tif", frame.image[..., ::-1])


def _encode_mask(centre: Centre, values: np.ndarray) -> bytes:
    if centre is CLINICDB:
        return _tiff(values, photometric="minisblack")
    return _encode(".bmp" if centre is COLONDB else ".tif", values)


def _tiff(pixels: np.ndarray, **tags: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, planarconfig="contig", rowsperstrip=16, metadata=None, software=False, **tags)
    return buffer.getvalue()


def _encode(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_table(folder: Path, centre: Centre, frames: int, faults: Iterable[Fault]) -> None:
    count = SEQUENCES[centre.name]
    rows = [(number, (number - 1) // frames + 1) for number in range(1, count * frames + 1)]
    rows += [(_number(fault.path), count + 1) for fault in faults if fault.path.startswith(f"{centre.name}/")]
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(("file", "sequence"))
    table.writerows((Path(_paths(centre, number)[0]).name, sequence) for number, sequence in rows)
    _put(folder / centre.name / "sequences.csv", buffer.getvalue().encode())
