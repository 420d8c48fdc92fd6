"""The picture of a case: a DICOM file, one frame of a DICOM file of several, or a picture of a common kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medseg.datasets import dicom, images
from medseg.studies.gastric import overlay
from medseg.studies.gastric.layout import Case
from medseg.studies.gastric.overlay import Overlay


@dataclass(frozen=True)
class Picture:
    """Pixels uint8 (H, W, 3), RGB; how a DICOM file stored them, else ""; and what was left out, in words."""

    pixels: np.ndarray
    transfer_syntax: str = ""
    photometric: str = ""
    notes: tuple[str, ...] = ()


def is_dicom(case: Case) -> bool:
    """By the extension of its picture."""
    return case.image.suffix.casefold() == ".dcm"


def read(case: Case) -> Picture:
    """Read a picture; BadFile as :func:`medseg.datasets.dicom.read` and :func:`medseg.datasets.images.read_picture`."""
    if is_dicom(case):
        found = dicom.read(case.image, case.frame)
        notes = [found.note] if found.note else []
        return Picture(found.pixels, found.transfer_syntax, found.photometric, tuple(notes))
    notes = []
    return Picture(images.read_picture(case.image, notes), notes=tuple(notes))


def read_new(path: Path, frame: int | None, info: Mapping[str, Any]) -> np.ndarray:
    """A new picture (H, W, 3) with its burned-in text blanked as the preparation did it that wrote ``info``.

    The window is sought in this picture alone, where the preparation sought it in several. Crop and size of the
    preparation are left out, so that masks lie on the picture, and so is the published shift. BadFile as :func:`read`.
    """
    dicom_file = path.suffix.casefold() in (".dcm", "")
    pixels = dicom.read(path, frame).pixels if dicom_file else images.read_picture(path)
    mode = info.get("overlay", {}).get("mode", "detect")
    if mode == "off":
        return pixels
    height, width = pixels.shape[:2]
    found = overlay.published((width, height)) if mode == "published" else overlay.detect([pixels])
    return Overlay(found.keep).clean(pixels)


def read_size(case: Case) -> tuple[int, int]:
    """Width and height of a picture as it is shown, pixels; BadFile where it tells none."""
    if is_dicom(case):
        return dicom.read_size(case.image)
    try:
        with Image.open(case.image) as image:
            size = image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        height, width = images.read_picture(case.image).shape[:2]  # an unusual TIFF; else it says what is wrong
        return width, height
    return size[::-1] if images.orientation(case.image) >= 5 else size  # 5 to 8 turn it by a quarter
