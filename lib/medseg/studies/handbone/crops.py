"""Square crops around one bone, with the outlines of all bones in them."""

from typing import NamedTuple

import numpy as np

from medseg.datasets.polygons import PolygonSet, rasterise


class Window(NamedTuple):
    """A square part of a picture, in whole pixels."""

    left: int
    top: int
    side: int


def window_around(polygons: PolygonSet, class_index: int, margin: float) -> Window | None:
    """The square around a bone; None where the bone is absent.

    It is centred on the bone's bounding box (of all its polygons, as far as they lie in the picture), is 1 + 2 margin
    times as long as the box's longer side, and is moved into the picture where it juts out. It is never longer than
    the picture's shorter side.

    Args:
        polygons: of the picture.
        class_index: of the bone.
        margin: on each side, as a multiple of the bone's size.
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
