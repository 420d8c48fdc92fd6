"""Names beside the points of a chart, none over another or over a point."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from medseg.reporting import style

# All in pixels, at the page's resolution.
_NEAR = (9, 13, 18)  # from a point to its name; no line is needed between them
_FAR = 60  # within which a place without any line is worth more than one nearer by
_STEP = 6  # of the grid of further places, and along lines
_POINT = 6  # half the side of a point
_SIZE = 7.5  # of the font, points

Line = Sequence[tuple[float, float]]


def place(
    figure: Canvas,
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
    lines: Sequence[Line] = (),
) -> list[Bbox]:
    """Write a name beside each point, with a thin line of its colour to it where it lies further off.

    Call it when all else is drawn; it settles the figure's layout for good. Where there is room, names also keep off
    ``lines``, each of two or more points; only where the axes are full does a name lie over others. Returns where the
    names are, in pixels and the order of the points.
    """
    if layout := figure.get_layout_engine():  # another call leaves one that does nothing
        FigureCanvasAgg(figure)
        layout.execute(figure)
        figure.set_layout_engine("none")
    frame, at = axes.get_window_extent(), axes.transData.transform(points)
    dots = np.array([(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in at])
    crossed = _along([axes.transData.transform(line) for line in lines])
    placed: dict[int, Bbox] = {}
    for number in np.argsort(-at[:, 1], kind="stable"):
        x, y = at[number]
        text = axes.annotate(
            names[number], points[number], (0, 0), textcoords="offset points", fontsize=_SIZE, color=style.INK,
            ha="center", va="center", linespacing=1.1, zorder=6, annotation_clip=False,
            path_effects=[withStroke(linewidth=2, foreground=style.PAPER)],
        )  # fmt: skip
        text.set_in_layout(False)
        size = text.get_window_extent()
        taken = np.vstack([dots, *(box.extents for box in placed.values())])
        half = np.array([size.width, size.height]) / 2
        dx, dy = _first_free(half, frame, (x, y), taken, crossed)
        text.set_position((dx * 72 / figure.dpi, dy * 72 / figure.dpi))
        placed[number] = Bbox([(x + dx, y + dy) - half, (x + dx, y + dy) + half])
        if _gap((dx, dy), half) > _NEAR[-1] + 1:
            _line(axes, (x, y), placed[number], colours[number])
    return [placed[number] for number in range(len(names))]


def _first_free(
    half: np.ndarray, frame: Bbox, point: tuple[float, float], taken: np.ndarray, crossed: np.ndarray
) -> tuple[float, float]:
    """From a point to the middle of its name; ``half`` is half its width and height, boxes are (N, 4)."""
    everything = np.vstack([taken, crossed])
    for boxes, reach in ((everything, _FAR), (taken, math.inf)):
        for away in _places(half, frame, point):
            if _gap(away, half) > reach:
                break
            low, high = np.add(point, away) - half - 1, np.add(point, away) + half + 1
            inside = (low >= frame.min).all() and (high <= frame.max).all()
            if inside and not ((boxes[:, :2] < high) & (boxes[:, 2:] > low)).all(axis=1).any():
                return away
    return (0.0, 0.0)


def _places(half: np.ndarray, frame: Bbox, point: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Beside a point, then anywhere in the frame, the nearest first."""
    for gap in _NEAR:
        across, up = half + gap
        yield from ((across, 0), (-across, 0), (0, up), (0, -up))
        yield from ((across, up), (across, -up), (-across, up), (-across, -up))
    middles = (
        np.arange(low + h + 1, high - h, _STEP) - p
        for low, high, h, p in zip(frame.min, frame.max, half, point, strict=True)
    )
    grid = np.stack(np.meshgrid(*middles), axis=-1).reshape(-1, 2)
    gaps = np.hypot(*np.maximum(np.abs(grid) - half, 0).T)
    yield from map(tuple, grid[np.argsort(gaps, kind="stable")])


def _gap(away: tuple[float, float], half: np.ndarray) -> float:
    """From a point to the edge of its name."""
    return float(np.hypot(*np.maximum(np.abs(away) - half, 0)))


def _along(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Small boxes (N, 4) along lines."""
    found = [np.empty((0, 4))]
    for line in lines:
        for begin, end in pairwise(line):
            steps = np.linspace(begin, end, 2 + int(np.hypot(*(end - begin)) / _STEP))
            found.append(np.hstack([steps - 1.5, steps + 1.5]))
    return np.vstack(found)


def _line(axes: Axes, point: tuple[float, float], box: Bbox, colour: str) -> None:
    """From a point to the nearest place on the edge of its name."""
    end = (float(np.clip(point[0], box.x0, box.x1)), float(np.clip(point[1], box.y0, box.y1)))
    ends = axes.transData.inverted().transform([point, end])
    axes.plot(*ends.T, color=colour, linewidth=0.9, zorder=3.5, scalex=False, scaley=False)
