"""The worst classes and the worst cases of many overlapping classes as pictures."""

from html import escape

import cv2
import numpy as np
import pandas as pd

from medseg.datasets import polygons
from medseg.datasets.frames import read_polygons
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.runs import Run, dataset_of, predictions_of
from medseg.masks import rle
from medseg.reporting import overlays, statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure, Fragment, Parts

_MARGIN = 0.35  # of the larger side of what is shown, on every side


def worst(comparison: Comparison, *, classes: int = 6, cases: int = 2) -> Parts:
    """Of the best configuration (first seed): each of its worst classes in the case where it is worst, seen close, and
    the cases with the lowest mean Dice whole, all classes together.
    """
    test_set = comparison.test_sets[0]
    run = statistics.best(comparison, test_set).runs[0]
    parts: list[Fragment | Figure] = [overlays.legend()]
    try:
        parts += _tiles(run, test_set, classes, cases)
    except MedsegError as error:
        text = f"No pictures of {test_set}: {error}"
        parts = [Fragment(f"<p>{escape(text)}</p>", text)]
    return Parts(tuple(parts))


def _tiles(run: Run, test_set: str, classes: int, cases: int) -> list[Fragment | Figure]:
    dataset, predicted = dataset_of(run), predictions_of(run, test_set)
    table = run.cases()
    table = table[(table["test_set"] == test_set) & table["dice"].notna()]
    parts: list[Fragment | Figure] = [overlays.heading("Worst classes, each in its worst case")]
    for name in table.groupby("class")["dice"].mean().sort_values(kind="stable").index[:classes]:
        own = table[table["class"] == name]
        row = own.loc[own["dice"].idxmin()]
        parts.append(_close(dataset, predicted, row, own["dice"].mean()))
    parts.append(overlays.heading("Worst cases, all classes together"))
    means = table.groupby("case_id")["dice"].mean().sort_values(kind="stable")
    return parts + [_whole(dataset, predicted, case_id, mean) for case_id, mean in means.head(cases).items()]


def _close(dataset: PreparedDataset, predicted: dict, row: pd.Series, mean: float) -> Figure:
    """One class of one case, cut out with a margin."""
    picture, true, image_name = _case(dataset, row["case_id"])
    truth = polygons.draw_class(true, dataset.info["classes"].index(row["class"]))
    found = _mask(predicted, image_name, row["class"], truth.shape)
    top, left, side = _square(truth | found)
    cut = slice(top, top + side), slice(left, left + side)
    caption = f"{row['class']}: mean Dice {mean:.3f}; here {row['dice']:.3f} ({row['case_id']})"
    return _shown(picture[cut], truth[cut], found[cut], f"{row['class']} of {row['case_id']}", caption)


def _whole(dataset: PreparedDataset, predicted: dict, case_id: str, mean: float) -> Figure:
    """All classes of one case: found where any class is rightly found, else missed or invented by some class."""
    picture, true, image_name = _case(dataset, case_id)
    truth, found = np.zeros(picture.shape, np.uint8), np.zeros(picture.shape, np.uint8)
    for number, name in enumerate(dataset.info["classes"]):
        truth |= polygons.draw_class(true, number)
        found |= _mask(predicted, image_name, name, picture.shape)
    return _shown(picture, truth, found, case_id, f"{case_id}: mean Dice {mean:.3f}")


def _case(dataset: PreparedDataset, case_id: str) -> tuple[np.ndarray, polygons.PolygonSet, str]:
    rows = dataset.index[dataset.index["case_id"] == case_id]
    if rows.empty:
        raise MedsegError(f"the case {case_id} is not in the data.")
    return *read_polygons(dataset, rows.iloc[0]), rows.iloc[0]["image_name"]


def _mask(predicted: dict, image_name: str, name: str, shape: tuple[int, int]) -> np.ndarray:
    if (image_name, name) not in predicted:
        raise MedsegError(f"the run has no prediction of {name} for {image_name}.")
    return rle.decode(predicted[image_name, name], shape)


def _square(mask: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of a square around the ones of a mask, with a margin, inside the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = min(*mask.shape, max(32, round(extent * (1 + 2 * _MARGIN))))
    top, left = (
        int(np.clip((place[0] + place[-1] + 1 - side) // 2, 0, size - side))
        for place, size in ((rows, mask.shape[0]), (columns, mask.shape[1]))
    )
    return top, left, side


def _shown(picture: np.ndarray, truth: np.ndarray, found: np.ndarray, name: str, caption: str) -> Figure:
    size = overlays.WIDTH, round(overlays.WIDTH * picture.shape[0] / picture.shape[1])
    enlarged = size[0] > picture.shape[1]
    image = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC if enlarged else cv2.INTER_AREA)
    masks = [
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA) >= 0.5
        for mask in (truth, found)
    ]
    return overlays.tile(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), *masks, name, caption)
