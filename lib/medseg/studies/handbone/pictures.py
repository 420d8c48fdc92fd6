"""X-ray pictures from files of any common kind, as 8-bit grey PNG, and square crops around one bone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from medseg.datasets import dicom, images, spacing
from medseg.datasets.polygons import PolygonSet, rasterise
from medseg.datasets.spacing import Spacing

_ORIENTATION = 0x0112  # EXIF
CONVERSION_RULE = (
    "8-bit grey as it is; wider values scaled from the range of 8, 12 or 16 bits, the smallest that holds them; "
    "colours weighted as by ITU-R BT.601"
)


@dataclass(frozen=True)
class Picture:
    """A picture, uint8 (height, width), and its file, 8-bit grey PNG.

    ``converted``: whether the file is not, byte for byte, the original. ``spacing`` is known of DICOM files alone, and
    not of all of them.
    """

    pixels: np.ndarray
    png: bytes
    converted: bool
    spacing: Spacing | None = None


def read(path: Path, frame: int | None = None) -> Picture:
    """Read a picture by :data:`CONVERSION_RULE`, of a DICOM file as :func:`medseg.datasets.dicom.read` gives it.

    Raises BadFile: as these.
    """
    if path.suffix.casefold() in (".dcm", ""):
        grey = cv2.cvtColor(dicom.read(path, frame).pixels, cv2.COLOR_RGB2GRAY)
        return Picture(grey, images.encode_png(grey), True, spacing.read(path))
    pixels = images.read_grey(path)  # of grey pictures the values; raises on whatever is damaged
    with Image.open(path) as image:
        mode, turned = image.mode, image.getexif().get(_ORIENTATION, 1) != 1
        if image.format == "PNG" and mode == "L" and not turned:
            return Picture(pixels, path.read_bytes(), False)
        if mode not in ("1", "L", "LA") and not mode.startswith("I"):
            pixels = cv2.cvtColor(images.read_picture(path), cv2.COLOR_RGB2GRAY)
    return Picture(pixels, images.encode_png(pixels), True)


def read_new(path: Path, frame: int | None, info: Mapping[str, Any]) -> np.ndarray:
    """A new picture as the preparation would have it, (H, W) uint8; BadFile as :func:`read`."""
    return read(path, frame).pixels


class Window(NamedTuple):
    """A square part of a picture, in whole pixels."""

    left: int
    top: int
    side: int


def window_around(polygons: PolygonSet, class_index: int, margin: float) -> Window | None:
    """The square around a bone; None where the bone is absent.

    It is centred on the bone's bounding box (of all its polygons, as far as they lie in the picture), is 1 + 2
    ``margin`` times as long as the box's longer side, and is moved into the picture where it juts out. It is never
    longer than the picture's shorter side.
    """
    points = [outline for index, outline in polygons.outlines() if index == class_index]
    if not points:
        return None
    corners = np.clip(np.concatenate(points), 0, polygons.size)
    low, high = corners.min(0), corners.max(0)
    side = int(np.clip(np.ceil((1 + 2 * margin) * (high - low).max()), 1, min(polygons.size)))
    left, top = (int(v) for v in np.clip(np.round((low + high - side) / 2), 0, np.array(polygons.size) - side))
    return Window(left, top, side)


def cropped(polygons: PolygonSet, window: Window) -> PolygonSet:
    """Polygons moved and clipped to a window; those without a pixel in it are left out."""
    size = (window.side, window.side)
    shapes = []
    for index, outline in polygons.outlines():
        clipped = _clipped(outline - (window.left, window.top), window.side)
        if len(clipped) >= 3 and rasterise(PolygonSet.of([(0, clipped)], size), 1).any():
            shapes.append((index, clipped))
    return PolygonSet.of(shapes, size)


def _clipped(points: np.ndarray, side: int) -> np.ndarray:
    """The part of a polygon in [0, side] x [0, side] (Sutherland and Hodgman 1974), (n, 2) float64.

    Of a concave polygon that falls into parts, the parts stay joined by edges along the border; these enclose nothing,
    so that the pixels inside are the same.
    """
    for axis in (0, 1):
        for limit, sign in ((0.0, 1.0), (float(side), -1.0)):
            inside = sign * (points[:, axis] - limit) >= 0
            kept = []
            for here, next_, is_in, next_in in zip(
                points, np.roll(points, -1, axis=0), inside, np.roll(inside, -1), strict=True
            ):
                if is_in:
                    kept.append(here)
                if is_in != next_in:
                    crossing = here + (limit - here[axis]) / (next_[axis] - here[axis]) * (next_ - here)
                    crossing[axis] = limit
                    kept.append(crossing)
            if not kept:
                return np.empty((0, 2))
            points = np.array(kept)
    return points
