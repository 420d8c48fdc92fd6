"""Outlines of structures as polygons: read, written, moved, and drawn into masks.

A point (x, y) is continuous: pixel (row i, column j) covers [j, j+1) x [i, i+1) and its centre is (j+0.5, i+0.5). A
pixel belongs to a polygon when its centre is inside, by the even-odd rule; several polygons of one class are united.
A centre exactly on an outline belongs to the polygon on its right, or below it where the outline is level, so that
polygons which share an edge neither overlap nor leave a gap.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medseg.errors import MedsegError

MAX_BIT_CLASSES = 31
"""Classes that fit into an int32 without its sign."""


@dataclass(frozen=True, eq=False)
class PolygonSet:
    """The polygons of one picture.

    Attributes:
        points: float64 (N, 2), the corners (x, y) of all polygons one after the other, in pixels.
        starts: int64 (P + 1,), where each polygon starts in ``points``; the last entry is N.
        classes: int64 (P,), class index of each polygon; a class may have several polygons, or none.
        size: (width, height) of the picture, in pixels.
    """

    points: np.ndarray
    starts: np.ndarray
    classes: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, shapes: Iterable[tuple[int, ArrayLike]], size: tuple[int, int]) -> "PolygonSet":
        """From pairs of class index and points (n, 2); ``size`` is (width, height) in pixels.

        Raises ValueError: points that are not finite pairs, a negative class, or a size below 1.
        """
        classes, outlines = [], []
        for index, points in shapes:
            outline = np.asarray(points, np.float64)
            outline = outline.reshape(0, 2) if outline.size == 0 else outline
            if outline.ndim != 2 or outline.shape[1] != 2 or not np.isfinite(outline).all():
                raise ValueError("the points of a polygon must be finite pairs (x, y)")
            if index < 0:
                raise ValueError(f"a class index must not be negative, got {index}")
            classes.append(index)
            outlines.append(outline)
        width, height = size
        if width < 1 or height < 1:
            raise ValueError(f"the size must be positive, got {size}")
        starts = np.cumsum([0, *map(len, outlines)], dtype=np.int64)
        points = np.concatenate([np.empty((0, 2)), *outlines])
        return cls(points, starts, np.array(classes, np.int64), (int(width), int(height)))

    def transformed(self, matrix: np.ndarray, size: tuple[int, int]) -> "PolygonSet":
        """Moved by an affine map into a picture of ``size`` (width, height), in pixels.

        ``matrix`` is (2, 3), from continuous points (x, y, 1) of this picture to those of the other.
        """
        moved = self.points @ matrix[:, :2].T + matrix[:, 2]
        return PolygonSet(moved, self.starts, self.classes, size)

    def outlines(self) -> Iterable[tuple[int, np.ndarray]]:
        """Pairs of class index and points (n, 2), in order."""
        for index, start, stop in zip(self.classes, self.starts, self.starts[1:], strict=False):
            yield int(index), self.points[start:stop]


def is_outside(points: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether points (n, 2) reach into no pixel of a picture of ``size`` (width, height), whatever they enclose."""
    return bool((points.max(axis=0) <= 0).any() or (points.min(axis=0) >= size).any())


def is_coordinate(value: Any) -> bool:
    """Whether a value out of a label file is a number of pixels within a million; true, false and NaN are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e6 <= value <= 1e6


def parse(text: str, classes: Sequence[str], source: str = "a label file") -> PolygonSet:
    """Read the polygons of a label file of the prepared dataset, called ``source`` in messages.

    It reads ``{"size": [width, height], "polygons": [{"class": name, "points": [[x, y], ...]}, ...]}``; the position of
    a name in ``classes`` is its class index. Raises MedsegError: not of that form, a class that is not among
    ``classes``, or points that are not finite.
    """
    position = {name: index for index, name in enumerate(classes)}
    shapes = []
    try:
        content = json.loads(text)
        width, height = content["size"]
        if not (isinstance(width, int) and isinstance(height, int)):
            raise ValueError(f"the size {content['size']} is not two whole numbers")
        for number, polygon in enumerate(content["polygons"]):
            if polygon["class"] not in position:
                raise ValueError(f"polygon {number} has the unknown class {polygon['class']!r}")
            shapes.append((position[polygon["class"]], polygon["points"]))
        return PolygonSet.of(shapes, (width, height))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        found = f"there is no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
        raise MedsegError(
            f"{source} does not hold polygons as expected: {found}. It should read "
            '{"size": [width, height], "polygons": [{"class": ..., "points": [[x, y], ...]}, ...]} with the classes '
            f"{', '.join(classes)}. Prepare the dataset again."
        ) from error


def dump(polygons: PolygonSet, classes: Sequence[str]) -> str:
    """The label file of a picture; :func:`parse` reads exactly the same numbers from it."""
    listed: list[dict[str, Any]] = [
        {"class": classes[index], "points": points.tolist()} for index, points in polygons.outlines()
    ]
    return json.dumps({"size": list(polygons.size), "polygons": listed}, allow_nan=False) + "\n"


def rasterise(polygons: PolygonSet, num_classes: int) -> np.ndarray:
    """Draw every class into a mask of its own: uint8 (num_classes, height, width) of {0, 1}.

    Raises ValueError: a polygon has a class of ``num_classes`` or above.
    """
    width, height = polygons.size
    _check_classes(polygons, num_classes)
    masks = np.zeros((num_classes, height, width), np.uint8)
    for index, place, box in _drawn(polygons):
        masks[index][place] |= box
    return masks


_PIXEL_EDGES = ((1, 0, (0, 0), (1, 0)), (-1, 0, (1, 1), (0, 1)), (1, 1, (0, 1), (0, 0)), (-1, 1, (1, 0), (1, 1)))


def from_mask(mask: np.ndarray) -> np.ndarray:
    """One polygon float64 (N, 2) that :func:`rasterise` draws as exactly this mask (height, width), true where not 0.

    It runs along the edges of pixels, around every part and every hole; from one to the next it goes there and back
    along one line, which encloses nothing. Raises ValueError: the mask is empty.
    """
    inside = np.pad(np.asarray(mask) != 0, 1)
    if not inside.any():
        raise ValueError("an empty mask has no outline")
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}

    # The edges of every pixel at which the mask ends, with the mask at their right hand: where the neighbour lies, and
    # from which corner to which the edge goes.
    for step, axis, start, end in _PIXEL_EDGES:
        for row, column in np.argwhere(inside & ~np.roll(inside, step, axis)).tolist():
            at = (column + start[0] - 1, row + start[1] - 1)
            following.setdefault(at, []).append((column + end[0] - 1, row + end[1] - 1))
    loops: list[list[tuple[int, int]]] = []
    while following:
        start = next(iter(following))
        loop = [start]
        while (at := loop[-1]) != start or len(loop) == 1:
            ends = following[at]
            loop.append(ends.pop())
            if not ends:
                del following[at]
        loops.append(loop)
    path = [point for loop in loops for point in loop] + [loop[0] for loop in loops[::-1]][1:]
    return _without_collinear(np.array(path, np.float64))


def _without_collinear(points: np.ndarray) -> np.ndarray:
    """The corners of a path alone: points between which it goes straight on are left out."""
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    straight = (before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]) & ((before * after).sum(1) > 0)
    return points[~straight]


def draw_class(polygons: PolygonSet, class_index: int) -> np.ndarray:
    """Draw one class: uint8 (height, width) of {0, 1}."""
    of_class = [(0, points) for index, points in polygons.outlines() if index == class_index]
    return rasterise(PolygonSet.of(of_class, polygons.size), 1)[0]


def rasterise_bits(polygons: PolygonSet) -> np.ndarray:
    """Draw all classes into the bits of one picture: int32 (height, width); bit k for class k.

    Raises ValueError: a class is too high for an int32.
    """
    width, height = polygons.size
    _check_classes(polygons, MAX_BIT_CLASSES)
    bits = np.zeros((height, width), np.int32)
    for index, place, box in _drawn(polygons):
        bits[place] |= np.left_shift(box, index, dtype=np.int32)
    return bits


def _drawn(polygons: PolygonSet) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    """Each polygon with a pixel: its class, the rows and columns of its bounding box, and the box uint8 of {0, 1}."""
    owners, rows, columns = _crossings(polygons)
    bounds = np.searchsorted(owners, np.arange(len(polygons.classes) + 1))
    for index, start, stop in zip(polygons.classes.tolist(), bounds, bounds[1:], strict=False):
        if start == stop:
            continue
        of_row, of_column = rows[start:stop], columns[start:stop]
        top, bottom, left, right = of_row.min(), of_row.max() + 1, of_column.min(), of_column.max()
        # One column more than the box: the last crossing of a row switches off there.
        box = np.zeros((bottom - top, right - left + 1), np.uint8)
        np.bitwise_xor.at(box.reshape(-1), (of_row - top) * box.shape[1] + of_column - left, np.uint8(1))
        # Every row ends switched off, so that one pass over all rows on end does for all of them.
        np.bitwise_xor.accumulate(box.reshape(-1), out=box.reshape(-1))
        yield index, (slice(top, bottom), slice(left, right)), box[:, :-1]


def _check_classes(polygons: PolygonSet, limit: int) -> None:
    if len(polygons.classes) and not 0 <= polygons.classes.min() <= polygons.classes.max() < limit:
        raise ValueError(f"the classes must be 0 to {limit - 1}, got {sorted(set(polygons.classes.tolist()))}")


def _crossings(polygons: PolygonSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the line through the pixel centres of each row enters or leaves each polygon.

    Returns:
        Three int64 arrays, ordered by polygon: the polygon, the row, and the first column whose centre lies at or
        beyond the crossing, 0 to width inclusive. Each row of each polygon has an even number of crossings.
    """
    width, height = polygons.size
    points, starts = polygons.points, polygons.starts
    corners = np.diff(starts)
    following = np.arange(1, len(points) + 1)
    following[starts[1:][corners > 0] - 1] = starts[:-1][corners > 0]
    owners = np.repeat(np.arange(len(corners)), corners)
    x, y = points.T
    # Every edge runs downward, so that both directions of one edge cross a row at bit for bit the same place.
    upward = y > y[following]
    upper = np.where(upward, following, np.arange(len(points)))
    lower = np.where(upward, np.arange(len(points)), following)
    # The row of centre c is crossed where y_upper <= c < y_lower: a corner on a centre line counts once.
    first = np.clip(np.ceil(y[upper] - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(y[lower] - 0.5), 0, height).astype(np.int64) - first
    edges = np.repeat(np.arange(len(points)), count)
    rows = np.arange(len(edges)) + (first - np.cumsum(count) + count)[edges]
    upper, lower = upper[edges], lower[edges]
    share = (rows + 0.5 - y[upper]) / (y[lower] - y[upper])
    crossing = x[upper] + share * (x[lower] - x[upper])
    columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    return owners[edges], rows, columns
