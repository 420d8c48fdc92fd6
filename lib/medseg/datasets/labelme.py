"""labelme's JSON, one file a picture (https://github.com/wkentaro/labelme), as other programs write it too.

Polygons, rectangles (two corners), circles (centre and a point on it) and masks (a PNG in base64, in the box of its two
inclusive corners) are regions. Lines and points are none, and are named as faults.
"""

import base64
import binascii
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medseg.datasets import shapes
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import is_coordinate
from medseg.datasets.shapes import MAX_SIDE, AnnotatedImage, Geometry, PixelMask
from medseg.datasets.texts import utf8_or_korean

EXPECTED = '{"shapes": [{"label": NAME, "shape_type": "polygon", "points": [[x, y], ...]}, ...], "imagePath": FILE}'
_NO_REGIONS = ("point", "points", "line", "linestrip")


def is_labelme(content: Any) -> bool:
    """Whether parsed JSON is such a file."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read(path: Path) -> AnnotatedImage:
    """Read a file; BadFile: it cannot be read, or :func:`parse` refuses it."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror or error}") from error


def parse(data: bytes) -> AnnotatedImage:
    """Read the bytes of a file; what is wrong with single shapes is in ``faults``.

    The name is the last part of ``imagePath``, whichever slashes it has. Raises BadFile: no JSON, or none of labelme.
    """
    try:
        content = json.loads(utf8_or_korean(data)[0])
    except (ValueError, RecursionError) as error:
        raise BadFile(f"broken JSON: {str(error)[:120] or type(error).__name__}") from error
    if not is_labelme(content):
        raise BadFile(f"not a file of labelme: expected {EXPECTED}")
    name = str(content.get("imagePath") or "").replace("\\", "/").rpartition("/")[2]
    image = AnnotatedImage(name, _side(content.get("imageWidth")), _side(content.get("imageHeight")))
    for number, entry in enumerate(content["shapes"], 1):
        label = entry.get("label") if isinstance(entry, dict) else None
        try:
            if not isinstance(label, str) or not label.strip():
                raise ValueError("has no label")
            image.shapes.append((label.strip(), _geometry(entry, image.size)))
        except ValueError as error:
            named = f" ({label[:40]})" if isinstance(label, str) else ""
            image.faults.append(f"shape {number}{named}: {error}")
    return image


def _side(value: Any) -> int:
    return value if type(value) is int and 0 < value <= MAX_SIDE else 0


def _geometry(entry: dict[str, Any], size: tuple[int, int] | None) -> Geometry:
    kind, points = entry.get("shape_type") or "polygon", entry.get("points", [])
    if kind in _NO_REGIONS:
        raise ValueError(f"a {kind} has no area; outline the region as a polygon")
    if kind in ("polygon", "oriented_rectangle"):
        return shapes.polygon(points)
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"a shape of the type {str(kind)[:40]!r}; expected polygon, rectangle, circle or mask")
    flat = [value for point in points for value in point] if _is_two_pairs(points) else []
    if not flat or not all(map(is_coordinate, flat)):
        raise ValueError(f"a {kind} has two points (x, y)")
    x1, y1, x2, y2 = flat
    if kind == "rectangle":
        return shapes.rectangle(x1, y1, x2, y2)
    if kind == "circle":
        radius = math.hypot(x2 - x1, y2 - y1)
        return shapes.ellipse(x1, y1, (radius, radius), size)
    return _mask(entry.get("mask"), round(x1), round(y1), size)


def _is_two_pairs(points: Any) -> bool:
    return isinstance(points, list) and len(points) == 2 and all(isinstance(p, list) and len(p) == 2 for p in points)


def _mask(code: Any, left: int, top: int, size: tuple[int, int] | None) -> PixelMask:
    try:
        with Image.open(io.BytesIO(base64.b64decode(code, validate=True))) as image:
            pixels = (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    except (TypeError, ValueError, binascii.Error, OSError, Image.DecompressionBombError) as error:
        raise ValueError("its mask is not a PNG in base64") from error
    width, height = size or (MAX_SIDE, MAX_SIDE)
    if left < 0 or top < 0 or left + pixels.shape[1] > width or top + pixels.shape[0] > height:
        raise ValueError(
            f"a mask of {pixels.shape[1]} x {pixels.shape[0]} pixels at ({left}, {top}) leaves the picture"
        )
    return PixelMask(left, top, pixels)
