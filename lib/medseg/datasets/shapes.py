"""What people draw on pictures, whatever program wrote it: labelled regions of one picture, as polygons or as pixels.

Coordinates are those of the picture, x to the right and y down, in pixels; pixel (row i, column j) covers
[j, j + 1) x [i, i + 1).
"""

import math
from dataclasses import dataclass, field

import numpy as np

from medseg.datasets.polygons import is_coordinate

MAX_SIDE = 32_767  # pixels; more is no picture


@dataclass(frozen=True)
class PixelMask:
    """A region as pixels uint8 (h, w) of 0 and 1; its first pixel lies in column ``left`` and row ``top``."""

    left: int
    top: int
    pixels: np.ndarray


Geometry = np.ndarray | PixelMask  # a polygon is float64 (N, 2): x and y


@dataclass
class AnnotatedImage:
    """One picture of an annotation file: its name there, often with folders, and its size in pixels, 0 if not told.

    ``shapes`` are label and region of each shape, in the order of the file; ``faults`` says of single shapes why they
    cannot be used, ``problem`` of all of them.
    """

    name: str
    width: int
    height: int
    shapes: list[tuple[str, Geometry]] = field(default_factory=list)
    problem: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height), or None."""
        return (self.width, self.height) if self.width and self.height else None


def polygon(points: object) -> np.ndarray:
    """A polygon float64 (N, 2) from pairs of numbers; ValueError where it has not three distinct ones."""
    pairs = list(points) if isinstance(points, list | tuple) else []
    for pair in pairs:
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_coordinate, pair))):
            raise ValueError(f"{str(pair)[:40]!r} is not a point (two numbers, x and y)")
    distinct = len({tuple(pair) for pair in pairs})
    if distinct < 3:
        raise ValueError(f"a polygon of {distinct} distinct point(s), expected at least 3")
    return np.array(pairs, np.float64)


def rectangle(x1: float, y1: float, x2: float, y2: float, turned: float = 0.0) -> np.ndarray:
    """The four corners of a box, ``turned`` by so many degrees about its centre, clockwise as seen."""
    if x1 == x2 or y1 == y2:
        raise ValueError("a box without area")
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)
    if not turned:
        return corners
    centre, angle = corners.mean(axis=0), math.radians(turned)
    across, down = (corners - centre).T
    cos, sin = math.cos(angle), math.sin(angle)
    return centre + np.column_stack([across * cos - down * sin, across * sin + down * cos])


def ellipse(
    x: float, y: float, radii: tuple[float, float], size: tuple[int, int] | None, turned: float = 0.0
) -> PixelMask:
    """The pixels whose centres lie in an ellipse about (x, y), ``turned`` clockwise as seen, degrees.

    No polygon is an ellipse; pixels are exact. ``size`` is (width, height) of the picture, None where that is not
    known. Raises ValueError: a radius that is not above 0, or no pixel of the picture in it.
    """
    if not min(radii) > 0:
        raise ValueError("an ellipse without area")
    reach = max(radii)
    right, bottom = size or (MAX_SIDE, MAX_SIDE)
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    right, bottom = min(right, math.ceil(x + reach) + 1), min(bottom, math.ceil(y + reach) + 1)
    rows, columns = np.mgrid[top : max(top, bottom), left : max(left, right)] + 0.5
    cos, sin = math.cos(math.radians(turned)), math.sin(math.radians(turned))
    along, across = (columns - x) * cos + (rows - y) * sin, (rows - y) * cos - (columns - x) * sin
    inside = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    if not inside.any():
        raise ValueError("an ellipse that covers no pixel of the picture")
    return PixelMask(left, top, inside.astype(np.uint8))
