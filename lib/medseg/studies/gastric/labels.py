"""The labels of the gastric study: one JSON file a picture, in EUC-KR or UTF-8; and its classes.

The published classes are four phases; a source may have others. ``image.phase_id`` is 1 to 4 (to the number of classes,
where others are named) and ``image.annotations[].polygon`` outlines the lesion. A picture that truly shows no
lesion says so: ``"phase_id": null`` together with an empty list of annotations. A phase of 1 to 4 without a polygon is
a fault, and so are a phase that is missing and any other number.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import is_coordinate
from medseg.datasets.shapes import Geometry, PixelMask
from medseg.datasets.texts import utf8_or_korean
from medseg.masks import outlines

#: The published classes, whose numbers in a class map are 1 to 4.
CLASSES = ("phase-1", "phase-2", "phase-3", "phase-4")


@dataclass(frozen=True)
class Lesion:
    """What a picture shows: regions and their class, from 1.

    ``shapes`` are polygons, float64 (N, 2) of x and y in pixels, and pixel masks; where they overlap, the later one
    lies on top. Empty for a picture without a lesion. ``phase`` is the class of all of them, 0 for no shape;
    ``classes`` says those of each where they differ. ``encoding`` is that of the label file; empty where the shapes
    come from elsewhere.
    """

    phase: int
    shapes: tuple[Geometry, ...]
    encoding: str = ""
    classes: tuple[int, ...] = ()

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, Geometry]]) -> "Lesion":
        """From pairs of class and region."""
        classes = tuple(number for number, _ in shapes)
        return cls(classes[0] if classes else 0, tuple(shape for _, shape in shapes), classes=classes)

    @property
    def pieces(self) -> list[tuple[int, Geometry]]:
        """Class and region of each shape."""
        return list(zip(self.classes or (self.phase,) * len(self.shapes), self.shapes, strict=True))

    def moved(self, x: int, y: int = 0) -> "Lesion":
        """The same, shifted by whole pixels."""
        shapes = (
            PixelMask(shape.left + x, shape.top + y, shape.pixels) if isinstance(shape, PixelMask) else shape + (x, y)
            for shape in self.shapes
        )
        return Lesion(self.phase, tuple(shapes), self.encoding, self.classes)


def title(classes: Sequence[str], number: int) -> str:
    """What class ``number`` is called in reports: ``phase 2`` of the published ones; ``none`` for 0."""
    if not number:
        return "none"
    return f"phase {number}" if tuple(classes) == CLASSES else classes[number - 1]


def colours(classes: Sequence[str]) -> dict[int, tuple[int, int, int]]:
    """RGB of each class by its number, wherever one is drawn: in the inspector's pictures and in reports."""
    return {number: (r, g, b) for number, (r, g, b) in enumerate(outlines.class_colours(len(classes)).tolist(), 1)}


def read(path: Path, phases: int = len(CLASSES)) -> Lesion:
    """Read a label file: :func:`parse`; BadFile also where it cannot be read."""
    try:
        return parse(path.read_bytes(), phases)
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror or error}") from error


def parse(data: bytes, phases: int = len(CLASSES)) -> Lesion:
    """Read the bytes of a label file; ``phases`` is the number of classes.

    A polygon is a list of ``[x, y]``, a list of ``{"x": .., "y": ..}``, or a flat list ``x, y, x, y ...``. Raises
    BadFile: another encoding, no JSON, a missing key, a phase that is none of them, no polygon, or a polygon of
    fewer than three distinct points.
    """
    if not data.strip():
        raise BadFile("the file is empty")
    try:
        text, encoding = utf8_or_korean(data)
        content = json.loads(text, parse_constant=_not_a_number)
    except UnicodeError as error:
        raise BadFile("the text is neither in EUC-KR nor in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"no valid JSON: {str(error)[:120].rstrip('.')}") from error
    image = _member(content, "image", dict, "the file")
    annotations = _member(image, "annotations", list, "'image'")
    phase = _phase(image, phases)
    if phase == 0 and annotations:
        raise BadFile(f"phase_id is null, for a picture without a lesion, but there are {len(annotations)} annotations")
    if phase and not annotations:
        raise BadFile(f"no polygon: phase_id is {phase}, but the list of annotations is empty")
    shapes = [_polygon(entry, number) for number, entry in enumerate(annotations, 1)]
    return Lesion(phase, tuple(shapes), encoding)


def _not_a_number(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _member(parent: Any, key: str, kind: type[Any], where: str) -> Any:
    if not isinstance(parent, dict) or key not in parent:
        raise BadFile(f"the key {key!r} is missing in {where}")
    if not isinstance(parent[key], kind):
        raise BadFile(f"{key!r} in {where} is a {type(parent[key]).__name__}, expected a {kind.__name__}")
    return parent[key]


def _phase(image: dict[str, Any], phases: int) -> int:
    phase = _member(image, "phase_id", object, "'image'")
    if phase is None:
        return 0
    if isinstance(phase, str) and phase.strip() in map(str, range(1, phases + 1)):
        phase = int(phase)
    if type(phase) is not int or not 1 <= phase <= phases:
        raise BadFile(
            f"phase_id is {str(phase)[:40]!r}, expected 1 to {phases}, or null for a picture without a lesion"
        )
    return phase


def _polygon(entry: Any, number: int) -> np.ndarray:
    value = _member(entry, "polygon", list, f"annotation {number}")
    if value and all(map(is_coordinate, value)):
        if len(value) % 2:
            raise BadFile(f"polygon {number} has an odd number of coordinates, {len(value)}")
        value = [value[i : i + 2] for i in range(0, len(value), 2)]
    points = []
    for point in value:
        pair = [point.get("x"), point.get("y")] if isinstance(point, dict) else point
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(is_coordinate, pair)):
            raise BadFile(f"polygon {number}: {str(point)[:40]!r} is not a point (two numbers, x and y)")
        points.append((float(pair[0]), float(pair[1])))
    distinct = len(set(points))
    if distinct < 3:
        what = {0: "no point", 1: "only 1 distinct point"}.get(distinct, f"only {distinct} distinct points")
        raise BadFile(f"polygon {number} has {what}, expected at least 3")
    return np.array(points, np.float64)
