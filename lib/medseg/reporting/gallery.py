"""The best and the worst cases as pictures: both outlines, and what was found, missed and invented."""

from html import escape

import cv2
import numpy as np
import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.runs import Run, dataset_of, predictions_of
from medseg.masks import rle
from medseg.reporting import overlays, statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure, Fragment, Parts


def extremes(comparison: Comparison, *, worst: int = 4, best: int = 2) -> Parts:
    """Worst and best cases of the best configuration of each test set (of its first seed)."""
    parts: list[Fragment | Figure] = [overlays.legend()]
    for test_set in comparison.test_sets:
        configuration = statistics.best(comparison, test_set)
        parts.append(overlays.heading(f"{test_set}: {configuration.label}"))
        parts += cases(configuration.runs[0], test_set, worst=worst, best=best).parts
    return Parts(tuple(parts))


def cases(run: Run, test_set: str, *, worst: int = 4, best: int = 2) -> Parts:
    """Tiles of the worst and the best cases of a run on one test set, by Dice.

    Where the pictures are gone, or the data was prepared anew since, a line says so instead.
    """
    try:
        dataset = _dataset(run)
        predictions = _predictions(run, test_set)
        tiles = [_tile(row, dataset, predictions) for row in _chosen(run.cases(), test_set, worst, best)]
    except MedsegError as error:
        text = f"No pictures of {test_set}: {error}"
        return Parts((Fragment(f"<p>{escape(text)}</p>", text),))
    return Parts(tuple(tiles))


def _dataset(run: Run) -> PreparedDataset:
    if len(run.record["dataset"].get("classes") or []) != 1:
        raise MedsegError("pictures are drawn for data with one class.")
    return dataset_of(run)


def _predictions(run: Run, test_set: str) -> dict[str, str]:
    """Run-length code of every case."""
    return {image_name: code for (image_name, _), code in predictions_of(run, test_set).items()}


def _chosen(table: pd.DataFrame, test_set: str, worst: int, best: int) -> list[tuple[str, str, float]]:
    """(kind, case id, Dice) of the cases to show, the worst first."""
    scored = table[(table["test_set"] == test_set) & table["dice"].notna()]
    scored = scored.sort_values(["dice", "case_id"], kind="stable")
    low = scored.head(worst)
    high = scored.iloc[len(low) :].tail(best).iloc[::-1]
    return [
        (kind, row.case_id, row.dice) for kind, part in (("worst", low), ("best", high)) for row in part.itertuples()
    ]


def _tile(chosen: tuple[str, str, float], dataset: PreparedDataset, predictions: dict[str, str]) -> Figure:
    kind, case_id, dice = chosen
    rows = dataset.index[dataset.index["case_id"] == case_id]
    if rows.empty or case_id not in predictions:
        raise MedsegError(f"the case {case_id} is not in the data or has no prediction.")
    sample = rows.iloc[0]
    image = cv2.imread(str(dataset.path(sample["image"])), cv2.IMREAD_COLOR_RGB)
    truth = cv2.imread(str(dataset.path(sample["label"])), cv2.IMREAD_GRAYSCALE)
    if image is None or truth is None:
        raise MedsegError(f"the picture or the mask of {case_id} cannot be read.")
    prediction = rle.decode(predictions[case_id], truth.shape)
    height = round(overlays.WIDTH * image.shape[0] / image.shape[1])
    image = cv2.resize(image, (overlays.WIDTH, height), interpolation=cv2.INTER_AREA)
    true, found = (_shrink(mask > 0, height) for mask in (truth, prediction))
    caption = f"{kind.capitalize()}: {case_id}, Dice {dice:.3f}"
    return overlays.tile(image, true, found, case_id, caption)


def _shrink(mask: np.ndarray, height: int) -> np.ndarray:
    resized = cv2.resize(mask.astype(np.float32), (overlays.WIDTH, height), interpolation=cv2.INTER_AREA)
    return resized >= 0.5
