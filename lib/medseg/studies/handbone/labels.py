"""The label of one picture: its annotations, and which of them can be used; and the file of the published layout.

The points are taken as continuous coordinates in pixels, as everywhere in this package: pixel (row i, column j) covers
[j, j+1) x [i, i+1), so that (0, 0) is the picture's upper left corner and not the centre of its first pixel.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg import names
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, is_coordinate, is_outside, rasterise
from medseg.datasets.texts import decoded
from medseg.studies.handbone.bones import CLASSES


@dataclass(frozen=True)
class Annotation:
    """One entry of a label file, as it stands there: its place, from 0, and its ``id`` as text, or "".

    ``label`` is None where there is no text; ``points`` are as read, and :func:`usable` checks them.
    """

    number: int
    identifier: str
    label: str | None
    points: Any

    def __str__(self) -> str:
        return f"annotation {self.number}" + (f" ({self.label[:40]})" if self.label else "")


@dataclass(frozen=True)
class Labels:
    """What a label says of a picture.

    ``size`` is (width, height) of the picture that it was made on, in pixels, None where it does not say that;
    ``faults`` are entries that could not be read, in words; ``told_as_shown``: whether the program that made it turns
    pictures by their orientation tag (EXIF).
    """

    size: tuple[int, int] | None
    annotations: list[Annotation]
    faults: Sequence[str] = ()
    told_as_shown: bool = False


def read(path: Path) -> Labels:
    """Read a label file of any common encoding; the annotations are in its order.

    Raises BadFile: it cannot be read, is no JSON, or holds no list of annotations.
    """
    try:
        content = json.loads(decoded(path.read_bytes()))
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"broken JSON: {error or type(error).__name__}") from error
    entries = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise BadFile("holds no list of annotations")
    annotations = []
    for number, entry in enumerate(entries):
        entry = entry if isinstance(entry, dict) else {}
        identifier = "" if entry.get("id") is None else str(entry["id"])
        label = entry["label"] if isinstance(entry.get("label"), str) else None
        annotations.append(Annotation(number, identifier, label, entry.get("points")))
    return Labels(_size(content.get("metadata")), annotations)


def usable(
    annotations: Sequence[Annotation], size: tuple[int, int], classes: Sequence[str]
) -> tuple[PolygonSet, list[tuple[Annotation, str]]]:
    """The annotations that name a class and outline pixels of the picture, and the others with the reason.

    Several polygons of one class are all kept; ``size`` is (width, height) of the picture, pixels.
    """
    shapes, faulty = [], []
    for annotation in annotations:
        try:
            shapes.append((_class(annotation.label, classes), _outline(annotation.points, size)))
        except ValueError as error:
            faulty.append((annotation, str(error)))
    return PolygonSet.of(shapes, size), faulty


def not_a_class(name: str, classes: Sequence[str]) -> str:
    """``none of the ...``, with the nearest class, for a name that is not among ``classes``."""
    what = "29 bones" if tuple(classes) == CLASSES else f"{len(classes)} classes"
    return f"none of the {what}" + "".join(f"; the nearest is {known}" for known in names.nearest(name, classes))


def _class(label: str | None, classes: Sequence[str]) -> int:
    if label is None:
        raise ValueError("has no label")
    if label not in classes:
        raise ValueError(f"the label {label[:40]!r} is {not_a_class(label, classes)}")
    return classes.index(label)


def _outline(points: Any, size: tuple[int, int]) -> np.ndarray:
    if not isinstance(points, list):
        raise ValueError("has no list of points")
    for place, point in enumerate(points):
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_coordinate, point)):
            raise ValueError(f"point {place} is {str(point)[:40]}, expected two finite numbers [x, y]")
    outline = np.array(points, np.float64).reshape(-1, 2)
    different = len(np.unique(outline, axis=0))
    if different < 3:
        raise ValueError(f"has {len(outline)} point(s), {different} different; a polygon needs at least three")
    low, high = outline.min(0), outline.max(0)
    if is_outside(outline, size):
        raise ValueError(
            f"lies wholly outside the picture: x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}, the picture "
            f"is {size[0]} x {size[1]} pixels"
        )
    corner = np.maximum(np.floor(low), 0)  # whole pixels, so that the same centres are inside
    width, height = (np.minimum(np.ceil(high), size) - corner).astype(int)
    if not rasterise(PolygonSet.of([(0, outline - corner)], (width, height)), 1).any():
        raise ValueError("covers no pixel of the picture")
    return outline


def _size(metadata: Any) -> tuple[int, int] | None:
    sides: list[Any] = [metadata.get(name) for name in ("width", "height")] if isinstance(metadata, dict) else [None]
    if all(side is None for side in sides):
        return None
    if not all(is_coordinate(side) and side == int(side) and side > 0 for side in sides):
        raise BadFile(f"gives the picture's size as {str(sides[0])[:20]} x {str(sides[1])[:20]}")
    return int(sides[0]), int(sides[1])
