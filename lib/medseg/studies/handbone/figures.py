"""What a prepared hand-bone dataset holds: its classes in a picture, their sizes and overlaps, the patients."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from medseg.datasets.augmentation.warp import fit_matrix, fitted_size
from medseg.datasets.frames import read_outlines, read_polygons
from medseg.datasets.index import PreparedDataset
from medseg.datasets.polygons import PolygonSet, rasterise, rasterise_bits
from medseg.masks.outlines import class_colours, tint
from medseg.reporting import style
from medseg.reporting.fragments import Figure
from medseg.studies.handbone.bones import CARPALS, CLASSES, GROUPS, anatomical_name

_LONGEST = 1040  # pixels of the picture's longer side: twice what it takes on the page
_MEASURED_AT = 512  # pixels of the longer side at which areas are counted: 0.1 % of a carpal's is one pixel
_ROW = 17  # CSS pixels per class
_LEAST_OVERLAP = 0.01
_PAIRS = 20
_ROOM = 7  # pixels around a name
_RIM = [patheffects.withStroke(linewidth=1.8, foreground="black")]
_SHORT = ("Tm", "Td", "C", "H", "S", "L", "Tq", "P", "R", "U")


@dataclass(frozen=True)
class Areas:
    """Areas of all classes as shares of the picture, 0 to 1, float64.

    ``shares`` (N, C) is what a class covers of each picture, ``shared`` (C, C) what two classes both cover, summed
    over the pictures.
    """

    classes: Sequence[str]
    shares: np.ndarray
    shared: np.ndarray


def measure(dataset: PreparedDataset) -> Areas:
    """Areas and overlaps in every picture, counted on masks of at most 512 pixels."""
    names = dataset.info["classes"]
    shares, shared = [], np.zeros((len(names), len(names)))
    for label in dataset.index["label"]:
        bits = rasterise_bits(_scaled(read_outlines(dataset, label), _MEASURED_AT))
        patterns, counts = np.unique(bits[bits != 0], return_counts=True)  # a few hundred sets of classes
        present = (patterns[:, None] >> np.arange(len(names)) & 1).astype(float)
        both = present.T @ (present * counts[:, None]) / bits.size
        shares.append(np.diag(both))
        shared += both
    return Areas(names, np.array(shares), shared)


def classes(dataset: PreparedDataset, row: Mapping[str, Any] | None = None) -> Figure:
    """A picture (a row of the index), and the same with every class in its colour and named in the legend.

    Without ``row``: the first picture that shows every class, or else the first.
    """
    if row is None:
        incomplete = dataset.index["case_id"].isin(list(dataset.info.get("incomplete", {})))
        row = dataset.index[~incomplete if not incomplete.all() else slice(None)].iloc[0]
    picture, outlines = read_polygons(dataset, row)
    outlines = _scaled(outlines, _LONGEST)
    resampling = cv2.INTER_AREA if max(picture.shape) > _LONGEST else cv2.INTER_CUBIC
    picture = cv2.resize(picture, outlines.size, interpolation=resampling)
    names = dataset.info["classes"]
    masks = rasterise(outlines, len(names))
    colours = class_colours(len(names)) / 255
    if tuple(names) != CLASSES:
        return _own_classes(row["case_id"], picture, masks, names, colours)
    with style.canvas(530) as figure:
        figure.set_facecolor(style.LIGHTBOX)
        layout: list[Any] = [["plain", "drawn", "legend"], ["wrist", "drawn", "legend"]]
        axes = figure.subplot_mosaic(layout, width_ratios=[0.5, 1, 0.44])
        for name, pixels in (("plain", picture), ("drawn", tint(picture, masks)), ("wrist", picture)):
            axes[name].imshow(pixels, cmap="gray", vmin=0, vmax=255)
            axes[name].axis("off")
        _outline(axes["drawn"], masks, colours, range(len(names)), 0.6, _short)
        carpals = [CLASSES.index(name) for name in CARPALS]
        _outline(axes["wrist"], masks, colours, carpals, 1.2, _short)
        present = np.asarray(masks.any(axis=(1, 2)))
        _look_at(axes["wrist"], np.asarray(masks[carpals].any(axis=0)))
        _legend(axes["legend"], colours, present)
        return style.finish(
            figure,
            f"{row['case_id']}: the picture, its outlined bones, and the carpals seen close. Where bones overlap, "
            "their colours are mixed: a pixel may belong to several classes.",
            f"An X-ray of a hand, the same with {int(present.sum())} bones in colour, each with a short "
            "name, the outlines of the carpals magnified, and a legend of the 29 classes.",
            "photo",
        )


def class_sizes(areas: Areas) -> Figure:
    """Share of the picture that each class covers, from the largest class to the smallest."""
    shares = pd.DataFrame(100 * areas.shares, columns=list(areas.classes)).where(areas.shares > 0)
    spread = (
        shares.quantile([0.05, 0.5, 0.95]).dropna(axis="columns").T.sort_values(0.5, ascending=False, kind="stable")
    )
    medians, places = spread[0.5], range(len(spread))
    with style.canvas(_ROW * len(spread) + 60, 720) as figure:
        axes = figure.subplots()
        axes.plot(spread[[0.05, 0.95]].T, [places, places], color=style.PALETTE[4], linewidth=5, alpha=0.55)
        axes.scatter(medians, places, 26, style.PALETTE[0], zorder=3)
        style.name_rows(axes, list(spread.index))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
        axes.tick_params(axis="x", which="minor", length=0, labelsize=8.5, labelcolor=style.MUTED)
        axes.set_xlabel("class's share of the picture, %")
        style.plain(axes, "x")
        return style.finish(
            figure,
            f"Dot: median over the {len(shares)} pictures; bar: from the 5th to the 95th percentile. Logarithmic axis: "
            f"{spread.index[0]} is {medians.max() / medians.min():.0f} times as large as {spread.index[-1]}.",
            "Size of the classes in % of the picture, medians: "
            + ", ".join(f"{name} {median:.2f}" for name, median in medians.items()),
        )


def overlaps(areas: Areas) -> Figure:
    """Pairs of classes that cover each other, by the share of the smaller one that lies in both."""
    sizes = np.diag(areas.shared)
    smaller = np.minimum.outer(sizes, sizes)
    share = np.divide(areas.shared, smaller, out=np.zeros_like(smaller), where=smaller > 0)
    pairs = [(share[i, j], i, j) for i in range(len(sizes)) for j in range(i) if share[i, j] >= _LEAST_OVERLAP]
    pairs.sort(reverse=True)
    shown = pairs[:_PAIRS]
    names = [" in ".join(areas.classes[k] for k in sorted((i, j), key=lambda k: sizes[k])) for _, i, j in shown]
    with style.canvas(70 + 20 * max(len(shown), 1), 720) as figure:
        axes = figure.subplots()
        bars = axes.barh(range(len(shown)), [100 * value for value, _, _ in shown], 0.65, color=style.PALETTE[0])
        axes.bar_label(bars, fmt="%.0f %%", padding=4, color=style.MUTED, fontsize=8.5)
        style.name_rows(axes, names)
        axes.set_xlabel("share of the smaller class that lies in the larger one, %")
        axes.set_xlim(0, 108)
        style.plain(axes, "x")
        rest = f"; {len(pairs) - len(shown)} more of 1 % or more are not shown" if len(pairs) > len(shown) else ""
        return style.finish(
            figure,
            f"Pairs of classes that overlap by 1 % or more, areas summed over all pictures{rest}.",
            f"{len(pairs)} pairs of classes overlap: "
            + ", ".join(f"{name} {100 * value:.0f} %" for name, (value, _, _) in zip(names, shown, strict=True)),
        )


def _short(number: int) -> str:
    """Name of a class that fits onto its bone: the number of a finger's bone, else letters."""
    fingers = len(CLASSES) - len(_SHORT)
    return str(number + 1) if number < fingers else _SHORT[number - fingers]


def _own_classes(
    case: str, picture: np.ndarray, masks: np.ndarray, names: Sequence[str], colours: np.ndarray
) -> Figure:
    """A picture, the same with every class in its colour and number, and a legend."""
    present = np.asarray(masks.any(axis=(1, 2)))
    with style.canvas(430) as figure:
        figure.set_facecolor(style.LIGHTBOX)
        plain, drawn, legend = figure.subplots(1, 3, width_ratios=[1, 1, 0.5])
        for axes, pixels in ((plain, picture), (drawn, tint(picture, masks))):
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            axes.axis("off")
        _outline(drawn, masks, colours, range(len(names)), 0.8, lambda number: str(number + 1))
        legend.axis("off")
        for place, name in enumerate(names):
            strength = 1.0 if present[place] else 0.3
            legend.add_patch(Rectangle((0, place - 0.38), 1.2, 0.76, color=colours[place], alpha=0.75 * strength))
            text: dict[str, Any] = {"va": "center", "fontsize": 8, "alpha": strength}
            legend.text(0.6, place, str(place + 1), color="white", ha="center", path_effects=_RIM, **text)
            legend.text(1.6, place, name, color=style.ON_LIGHTBOX, **text)
        legend.set_xlim(0, 8)
        legend.set_ylim(max(len(names), 12) - 0.5, -0.7)
        return style.finish(
            figure,
            f"{case}: the picture, and its outlined classes. Where they overlap, their colours are mixed.",
            f"A picture, and the same with {int(present.sum())} of {len(names)} classes in colour.",
            "photo",
        )


def _scaled(outlines: PolygonSet, longest: int) -> PolygonSet:
    """In a picture whose longer side has ``longest`` pixels."""
    return outlines.transformed(fit_matrix(outlines.size, longest), fitted_size(outlines.size, longest))


def _outline(
    axes: Axes,
    masks: np.ndarray,
    colours: np.ndarray,
    shown: Iterable[int],
    width: float,
    short: Callable[[int], str],
) -> None:
    """Outlines of classes, each with its short name where it is widest and, if there is room, belongs to it alone."""
    alone = masks.sum(axis=0, dtype=np.uint8) == 1
    for number in shown:
        if not masks[number].any():
            continue
        axes.contour(masks[number], [0.5], colors=[colours[number]], linewidths=width)
        depth, own = _depth(masks[number]), _depth(masks[number] & alone)
        if own.max() >= max(_ROOM, depth.max() / 3):
            depth = own
        y, x = map(float, np.unravel_index(depth.argmax(), depth.shape))
        look: dict[str, Any] = {"color": "white", "ha": "center", "va": "center", "path_effects": _RIM}
        axes.text(x, y, short(number), fontsize=6.5, clip_on=True, **look)


def _depth(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel from what is outside the mask, where the picture's border counts as outside."""
    return cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]


def _look_at(axes: Axes, mask: np.ndarray) -> None:
    """Show the square around a mask, and a margin; everything where it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if len(rows):
        middle = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
        half = 0.58 * max(np.ptp(rows), np.ptp(columns)) + 4
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] + half, middle[1] - half)


def _legend(axes: Axes, colours: np.ndarray, present: np.ndarray) -> None:
    """All classes under the names of their groups; absent ones are dim."""
    axes.axis("off")
    place = 0.0
    for group, names in GROUPS.items():
        axes.text(0, place, group, color=style.ON_LIGHTBOX, fontsize=8, fontweight="bold", va="center")
        for name in names:
            place += 1
            number = CLASSES.index(name)
            strength = 1.0 if present[number] else 0.3
            axes.add_patch(Rectangle((0, place - 0.38), 1.5, 0.76, color=colours[number], alpha=0.75 * strength))
            text: dict[str, Any] = {"va": "center", "fontsize": 7.5, "alpha": strength}
            axes.text(0.75, place, _short(number), color="white", ha="center", path_effects=_RIM, **text)
            axes.text(1.8, place, name, color=style.ON_LIGHTBOX, **text)
            words = anatomical_name(name).rpartition(", ")[2] if group not in ("carpals", "forearm") else ""
            axes.text(5.9, place, words, color=style.MUTED, **text)
        place += 1.35
    axes.set_xlim(0, 12)
    axes.set_ylim(place - 0.7, -0.7)
