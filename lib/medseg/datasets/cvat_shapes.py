"""Shapes of CVAT's XML as regions: elements to polygons and pixels, and the run-length code of its masks.

Polygons stay what they are, boxes become polygons of four corners, ellipses the pixels whose centres lie inside; the
attribute ``rotation`` turns both about their centre, degrees, clockwise as seen. What encloses no region is refused.
"""

import math
import re
from collections.abc import Mapping

import numpy as np

from medseg.datasets import shapes
from medseg.datasets.shapes import MAX_SIDE, AnnotatedImage, Geometry, PixelMask

_COUNT = re.compile(r"[0-9]{1,9}")
_REFUSED = {
    "polyline": "a <polyline> encloses nothing; draw it as a polygon",
    "points": "<points> have no area; draw the region as a polygon",
    "cuboid": "a <cuboid> outlines no region; draw it as a polygon",
    "skeleton": "a <skeleton> has no area; draw the region as a polygon",
}
_KNOWN = "expected polygon, box, ellipse or mask"


def encode_mask(pixels: np.ndarray) -> str:
    """Run lengths of a box (h, w) of 0 and 1: zeros and ones in turn, zeros first, row by row."""
    line = np.concatenate([[0], pixels.ravel() != 0, [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(line))
    counts = np.diff(np.concatenate([[0], edges, [pixels.size]]))
    return ", ".join(map(str, (counts if counts[-1] else counts[:-1]).tolist()))


def decode_mask(code: str, width: int, height: int) -> np.ndarray:
    """Reverse of :func:`encode_mask`: uint8 (height, width) of 0 and 1; zeros at the end may be left out.

    Raises ValueError: a count is not a whole number, or they add up to more than the box.
    """
    tokens = code.replace(",", " ").split()
    wrong = next((token for token in tokens if not _COUNT.fullmatch(token)), None)
    if wrong is not None:
        raise ValueError(f"the run length {wrong[:20]!r} is not a whole number")
    counts = list(map(int, tokens))
    if sum(counts) > width * height:
        raise ValueError(f"run lengths add up to {sum(counts)}, its box has {width} x {height} pixels")
    values = np.repeat(np.resize(np.array([0, 1], np.uint8), len(counts)), counts)
    return np.pad(values, (0, width * height - len(values))).reshape(height, width)


def geometry(kind: str, attributes: Mapping[str, str], image: AnnotatedImage) -> Geometry:
    """The region of an element ``kind`` on ``image``; ValueError where it is none, or faulty."""
    if kind in _REFUSED:
        raise ValueError(_REFUSED[kind])
    if kind == "polygon":
        return _polygon(attributes)
    if kind == "mask":
        return _mask(attributes, image)
    if kind == "box":
        left, top, right, bottom = (_number(attributes, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        return shapes.rectangle(left, top, right, bottom, _number(attributes, "rotation", 0))
    if kind == "ellipse":
        if image.size is None:
            raise ValueError("an ellipse on a picture whose size is not told; export it as 'CVAT for images 1.1'")
        x, y, *radii = (_number(attributes, name) for name in ("cx", "cy", "rx", "ry"))
        return shapes.ellipse(x, y, (radii[0], radii[1]), image.size, _number(attributes, "rotation", 0))
    raise ValueError(f"a <{kind[:40]}>; {_KNOWN}")


def whole_number(attributes: Mapping[str, str], key: str, least: int, most: int = MAX_SIDE) -> int:
    """An attribute that counts pixels, or frames; ValueError where it is missing, none, or out of range."""
    value = attributes.get(key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not re.fullmatch(r"[0-9]{1,7}(\.0+)?", value) or not least <= int(value.split(".")[0]) <= most:
        raise ValueError(f"{key} is {value[:20]!r}; expected a whole number from {least} to {most}")
    return int(value.split(".")[0])


def _number(attributes: Mapping[str, str], key: str, default: float | None = None) -> float:
    if key not in attributes and default is not None:
        return default
    try:
        value = float(attributes[key])
    except KeyError:
        raise ValueError(f"{key} is missing") from None
    except ValueError:
        raise ValueError(f"{key} is {attributes[key][:20]!r}, not a number") from None
    if not (math.isfinite(value) and abs(value) <= 1e6):
        raise ValueError(f"{key} is {attributes[key][:20]!r}, out of all bounds")
    return value


def _polygon(attributes: Mapping[str, str]) -> np.ndarray:
    points = []
    for pair in filter(None, attributes.get("points", "").split(";")):
        try:
            x, y = (float(value) for value in pair.split(","))
        except ValueError:
            raise ValueError(f"the point {pair[:40]!r} is not 'x,y'") from None
        if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) <= 1e6):
            raise ValueError(f"the point {pair[:40]!r} is out of all bounds")
        points.append((x, y))
    if len(set(points)) < 3:
        raise ValueError(f"a polygon of {len(set(points))} distinct point(s); expected at least 3")
    return np.array(points, np.float64)


def _mask(attributes: Mapping[str, str], image: AnnotatedImage) -> PixelMask:
    left, top, width, height = (
        whole_number(attributes, key, least) for key, least in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
    )
    most_wide, most_high = image.size or (MAX_SIDE, MAX_SIDE)
    if left + width > most_wide or top + height > most_high:
        raise ValueError(
            f"a mask of {width} x {height} pixels at ({left}, {top}) does not fit into {most_wide} x {most_high}"
        )
    if "rle" not in attributes:
        raise ValueError("a mask without rle")
    return PixelMask(left, top, decode_mask(attributes["rle"], width, height))
