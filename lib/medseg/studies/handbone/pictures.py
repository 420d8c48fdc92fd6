"""X-ray pictures from files of any common kind, as 8-bit grey PNG."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from medseg.datasets import images

_DEPTHS = (255, 4095, 65535)  # full scale of 8, 12 and 16 bits
_ORIENTATION = 0x0112  # EXIF
CONVERSION_RULE = (
    "8-bit grey as it is; wider values scaled from the range of 8, 12 or 16 bits, the smallest that holds them; "
    "colours weighted as by ITU-R BT.601"
)


@dataclass(frozen=True)
class Picture:
    """A picture and its file.

    Attributes:
        pixels: uint8 (height, width).
        png: the file, 8-bit grey; byte for byte the original where that is one.
        converted: whether it is not.
    """

    pixels: np.ndarray
    png: bytes
    converted: bool


def read(path: Path) -> Picture:
    """Read a picture; see :data:`CONVERSION_RULE`.

    Raises:
        BadFile: as :func:`images.read_picture`.
    """
    pixels = images.read_mask(path)  # of grey pictures the values; raises on whatever is damaged
    with Image.open(path) as image:
        mode, turned = image.mode, image.getexif().get(_ORIENTATION, 1) != 1
        if image.format == "PNG" and mode == "L" and not turned:
            return Picture(pixels, path.read_bytes(), False)
        if mode.startswith("I"):
            pixels = _from_wide(np.asarray(ImageOps.exif_transpose(image)))
        elif mode not in ("1", "L", "LA"):
            pixels = cv2.cvtColor(images.read_picture(path), cv2.COLOR_RGB2GRAY)
    return Picture(pixels, images.encode_png(pixels), True)


def _from_wide(values: np.ndarray) -> np.ndarray:
    full = next(limit for limit in _DEPTHS if values.max(initial=0) <= limit)
    return ((values.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)
