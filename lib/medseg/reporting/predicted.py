"""What a prediction of new pictures looks like: its table, and some pictures with outlines."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medseg.datasets.frames import read_rgb
from medseg.prediction.folder import REJECTED, TABLE
from medseg.reporting import samples
from medseg.reporting.fragments import Cell, Figure, Fragment, Table, numeric, words

_ROWS = 30  # of the table
_CLASSES = 8  # more of them are counted, not listed
_COLUMNS = 3


def table(folder: Path) -> Fragment:
    """The first rows of ``predictions.csv``, without classes of which nothing was found; of many a row a picture."""
    found = pd.read_csv(folder / TABLE, dtype={"picture": str, "flags": str, "class": str}, keep_default_na=False)
    title, notes = f"Predicted ({found['picture'].nunique()})", []
    if (folder / REJECTED).is_file():
        notes.append(f"{len(pd.read_csv(folder / REJECTED))} files could not be predicted; {REJECTED} says why")
    if found["class"].nunique() > _CLASSES:
        of_picture = found.groupby("picture", sort=False)
        counted = of_picture["pixels"].agg(lambda pixels: int((pixels > 0).sum()))
        pixels, flags, classes = of_picture["pixels"].sum(), of_picture["flags"].first(), of_picture["pixels"].size()
        rows = [
            [
                Cell(name),
                Cell(f"{counted[name]} of {classes[name]}", counted[name]),
                Cell(f"{pixels[name]:,}", pixels[name]),
                Cell(flags[name]),
            ]
            for name in counted.index
        ]
        columns = [*words("picture"), *numeric("classes found", "pixels"), *words("flags")]
    else:
        empty = found.groupby("picture", sort=False)["pixels"].transform("max") == 0
        shown = found[(found["pixels"] > 0) | (empty & ~found.duplicated("picture"))]
        with_area = bool((shown["area_mm2"].astype(str) != "").any())
        rows = [_row(row, with_area) for row in shown.rename(columns={"class": "name"}).itertuples()]
        areas = ["mm\u00b2"] if with_area else []
        columns = [*words("picture", "class"), *numeric("pixels", *areas, "regions", "highest probability")]
        columns += words("flags")
    if len(rows) > _ROWS:
        notes.append(f"and {len(rows) - _ROWS} more rows in {TABLE}")
    return Table(title, columns, rows[:_ROWS], notes).fragment()


def _row(row: Any, with_area: bool) -> list[Cell]:
    area, highest = str(row.area_mm2), float(row.highest_probability)
    return [
        Cell(row.picture),
        Cell(row.name if row.pixels else ""),
        Cell(f"{row.pixels:,}", row.pixels),
        *([Cell(area, float(area) if area else np.inf)] if with_area else []),
        Cell(str(row.regions), row.regions),
        Cell(f"{highest:.2f}" if row.pixels else "", highest),
        Cell(row.flags),
    ]


def sheet(folder: Path, classes: list[str], most: int = 6) -> Figure:
    """Some of the overlays, evenly spread over the pictures."""
    files = sorted((folder / "overlays").rglob("*.jpg"))
    chosen = [files[number] for number in np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).astype(int))]
    tiles = [_fitted(samples.shrunk(read_rgb(file))) for file in chosen]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [tiles[first : first + _COLUMNS] for first in range(0, len(tiles), _COLUMNS)]
    named = [file.relative_to(folder / "overlays").with_suffix("").as_posix() for file in chosen]
    return samples.grid(
        rows,
        [""] * len(rows),
        [""] * _COLUMNS,
        f"Outlines of what was predicted{samples.named_colours(classes)}. Row by row: {', '.join(named)}.",
        f"{len(chosen)} pictures with the outlines of their predictions.",
        row_height=250,
    )


def _fitted(picture: np.ndarray, side: int = 420) -> np.ndarray:
    """A picture in the middle of a square."""
    whole = np.zeros((side, side, 3), np.uint8)
    height, width = picture.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = picture
    return whole
