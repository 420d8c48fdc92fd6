"""How large a pixel is, from the header of a DICOM file."""

import math
from dataclasses import dataclass
from pathlib import Path

import pydicom

#: In the order in which they are believed: in the body, and at the detector, which is larger where the body lay before
#: it (DICOM PS3.3 10.7.1.3).
TAGS = ("PixelSpacing", "ImagerPixelSpacing")


@dataclass(frozen=True)
class Spacing:
    """Distance of neighbouring pixels' centres, mm, and the one of :data:`TAGS` that says it."""

    x: float
    y: float
    tag: str


def read(path: Path) -> Spacing | None:
    """The spacing of a DICOM file that could be read; None where it tells none that is a size."""
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS), force=True)
    for tag in TAGS:
        try:
            down, across = (float(value) for value in header.get(tag) or ())
        except (TypeError, ValueError):
            continue
        if all(math.isfinite(value) and 0 < value < 100 for value in (down, across)):
            return Spacing(across, down, tag)
    return None
