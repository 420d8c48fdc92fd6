"""A look before training: what every split of a prepared dataset holds, in numbers and as a sheet of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from medseg.datasets.augmentation.warp import fit_matrix, fitted_size
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.datasets.polygons import PolygonSet
from medseg.evaluation.kinds import Kind
from medseg.masks import outlines
from medseg.reporting import samples, style
from medseg.reporting.fragments import Cell, Column, Figure, Fragment, Table, number, words

_LONGEST = 320  # pixels kept of a picture's longer side
_COUNTED = 1024  # longer side of the largest picture in which polygons are counted pixel for pixel
_TILES = 6  # pictures of a split
_TILE = 150  # CSS pixels
_LETTERS = 24  # of a title: what a tile is wide
_EMPTY = "nothing"


@dataclass(frozen=True)
class Contents:
    """What was read of every picture once, for the table and the sheet.

    Attributes:
        areas: float64 (N, C), the share of each picture, 0 to 1, that each class covers.
        parts: rows of the index of every split and test set, by its name.
        sheet: the pictures of the sheet by name of the part: title, and (H, W, 3) uint8 with outlines.
    """

    classes: tuple[str, ...]
    areas: np.ndarray
    parts: Mapping[str, np.ndarray]
    sheet: Mapping[str, Sequence[tuple[str, np.ndarray]]]


def read(dataset: PreparedDataset) -> Contents:
    """Read every picture of a dataset.

    Raises MedsegError: a file cannot be read.
    """
    kind, table = samples.kind_of(dataset), dataset.index
    areas = np.array([_areas(kind, kind.read(dataset, row)[1]) for _, row in table.iterrows()])
    named = [f"{row.split}: {row.test_set}" if row.test_set else row.split for row in table.itertuples()]
    order = sorted(dict.fromkeys(named), key=lambda name: SPLITS.index(name.partition(":")[0]))
    parts = {name: np.flatnonzero(np.array(named) == name) for name in order}
    sheet = {}
    for name, rows in parts.items():
        chosen = rows[_chosen(areas[rows] > 0, table["group"].to_numpy()[rows])]
        sheet[name] = [_tile(kind, dataset, table.iloc[row], areas[row] > 0) for row in chosen]
    return Contents(tuple(kind.classes), areas, parts, sheet)


def table(contents: Contents) -> Fragment:
    """For every class and split: pictures that show it, and the median share of the picture that it covers there."""
    rows = []
    for place, name in enumerate(contents.classes):
        cells = [Cell(name)]
        for part in contents.parts.values():
            found = contents.areas[part, place]
            shown = found[found > 0]
            cells.append(number(len(shown), 0, note=_spread(shown) if len(shown) else ""))
        rows.append(cells)
    empty = [int((contents.areas[part].max(axis=1) == 0).sum()) for part in contents.parts.values()]
    rows.append([Cell(_EMPTY), *(number(count, 0) for count in empty)])
    columns = [*words("class"), *(Column(f"{name} ({len(part)})") for name, part in contents.parts.items())]
    notes = [
        "Pictures that show the class; below, the share of the picture that it covers there: median (least\u2013most). "
        f"The last row counts pictures with an empty label{'' if any(empty) else ': there is none'}."
    ]
    lacking = [
        f"{name} in {part}"
        for place, name in enumerate(contents.classes)
        for part, rows in contents.parts.items()
        if not (contents.areas[rows, place] > 0).any()
    ]
    if lacking:
        notes.append(f"Not there at all: {', '.join(lacking)}.")
    return Table("Contents of the splits", columns, rows, notes).fragment()


def sheet(contents: Contents) -> Figure:
    """Some pictures of every split with the outlines of their labels: every class, if there is room, then groups."""
    tallest = [max(pixels.shape[0] / pixels.shape[1] for _, pixels in tiles) for tiles in contents.sheet.values()]
    heights = [_TILE * min(shape, 1.2) + 24 for shape in tallest]
    with style.canvas(sum(heights) + 16) as figure:
        figure.set_facecolor(style.LIGHTBOX)
        grid = figure.subplots(len(heights), _TILES, squeeze=False, height_ratios=heights)
        for axes in grid.flat:
            axes.axis("off")
        for line, (name, tiles) in zip(grid, contents.sheet.items(), strict=True):
            look: dict[str, Any] = {"ha": "right", "va": "center", "color": style.ON_LIGHTBOX, "fontsize": 9}
            line[0].text(-0.06, 0.5, name.replace(": ", ":\n"), transform=line[0].transAxes, **look)
            for axes, (title, pixels) in zip(line, tiles, strict=False):
                axes.imshow(pixels)
                axes.set_title(title, loc="center", fontsize=7, fontweight="normal", color=style.ON_LIGHTBOX, pad=3)
        colours = samples.named_colours(contents.classes)
        return style.finish(
            figure,
            f"Pictures of every split with the outlines of their labels{colours}. Each split shows every class that it "
            "has, as far as there is room, and then pictures spread evenly over its groups.",
            f"A sheet of pictures with outlines: {', '.join(f'{len(t)} of {n}' for n, t in contents.sheet.items())}.",
            kind="photo",
        )


def _spread(shares: np.ndarray) -> str:
    low, median, high = (
        f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}" for share in np.quantile(shares, [0, 0.5, 1])
    )
    return f"{median} % ({low}\u2013{high})"


def _within(label: Any, longest: int) -> Any:
    """Polygons in a picture that is not larger, others as they are."""
    if not isinstance(label, PolygonSet) or max(label.size) <= longest:
        return label
    return label.transformed(fit_matrix(label.size, longest), fitted_size(label.size, longest))


def _areas(kind: Kind, label: Any) -> list[float]:
    return [float(np.mean(mask > 0)) for _, mask in kind.true_pieces(_within(label, _COUNTED))]


def _chosen(present: np.ndarray, groups: np.ndarray) -> list[int]:
    """Places of at most :data:`_TILES` pictures, ascending: a rare class, an empty label, then groups evenly.

    ``present`` is bool (n, C), which class each picture shows; ``groups`` (n,) the group of each.
    """
    rare_first = present[:, np.argsort(present.sum(axis=0), kind="stable")]
    wanted = np.column_stack([rare_first, ~present.any(axis=1, keepdims=True)])
    found: list[int] = []
    for shown in wanted.T:
        candidates = np.flatnonzero(shown)
        if len(candidates) and not shown[found].any() and len(found) < _TILES:
            fresh = [c for c in candidates if groups[c] not in groups[found]]
            found.append(int((fresh or list(candidates))[0]))
    firsts = pd.Series(groups).drop_duplicates()
    for pool in (firsts.index[~firsts.isin(groups[found])], range(len(groups))):
        rest = [place for place in pool if place not in found]
        free = min(_TILES - len(found), len(rest))
        found += [rest[round(place)] for place in np.linspace(0, len(rest) - 1, free)] if free > 0 else []
    return sorted(found)


def _tile(kind: Kind, dataset: PreparedDataset, row: pd.Series, present: np.ndarray) -> tuple[str, np.ndarray]:
    picture, label = kind.read(dataset, row)
    size = fitted_size(picture.shape[1::-1], _LONGEST)
    drawn = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    drawn = drawn if drawn.ndim == 3 else cv2.cvtColor(drawn, cv2.COLOR_GRAY2RGB)
    colours = outlines.class_colours(len(kind.classes)) if len(kind.classes) > 1 else [outlines.TRUTH]
    for (_, mask), colour in zip(kind.true_pieces(_within(label, _LONGEST)), colours, strict=True):
        fitted = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
        outlines.draw(drawn, fitted, colour, 2 if len(colours) <= len(outlines.FEW) else 1)
    name, end = row["case_id"], "" if present.any() else f" ({_EMPTY})"
    room = _LETTERS - len(end)
    return (name if len(name) <= room else f"\u2026{name[1 - room :]}") + end, drawn
