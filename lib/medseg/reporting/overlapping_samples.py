"""Pictures of samples with many overlapping classes: what goes into a network, what comes out."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import pandas as pd
from matplotlib import colormaps

from medseg.datasets import polygons
from medseg.datasets.frames import read_polygons
from medseg.datasets.index import PreparedDataset
from medseg.evaluation.rules import Segmenter
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import dice
from medseg.reporting import samples
from medseg.reporting.fragments import Figure

_OPACITY = 0.5


class Samples(Protocol):
    """What is trained on: pictures (R, R) uint8 with the classes of every pixel as bits, (R, R) int32."""

    def plain(self, number: int) -> tuple[np.ndarray, np.ndarray]: ...

    def training(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray]: ...


def class_colours(count: int) -> np.ndarray:
    """(count, 3) uint8 RGB; neighbours in the list of classes lie far apart on the wheel of hues."""
    places = np.arange(count) * 0.381966 % 1  # golden angle
    return np.round(colormaps["hsv"](places)[:, :3] * 255).astype(np.uint8)


def augmented(found: Samples, numbers: Sequence[int], titles: Sequence[str], classes: int, draws: int = 3) -> Figure:
    """Each sample with its classes in colour, as it is and as augmentation draws it in the first epochs."""
    rows = []
    for number in numbers:
        drawn = [found.plain(number), *(found.training(epoch, number) for epoch in range(draws))]
        rows.append([coloured(picture, _masks(bits, classes)) for picture, bits in drawn])
    return samples.grid(
        rows,
        titles,
        ("as it is", *(f"drawn for epoch {epoch + 1}" for epoch in range(draws))),
        "Training pictures as they are and as the network gets them; every class has its colour and moves with its "
        "picture.",
        f"{len(rows)} pictures beside {draws} augmented versions of each, their classes in colour.",
    )


def read_cases(dataset: PreparedDataset, rows: pd.DataFrame) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For each row its case id, picture (H, W) uint8 and true masks (C, H, W) uint8."""
    cases = []
    for _, row in rows.iterrows():
        picture, true = read_polygons(dataset, row)
        cases.append((row["case_id"], picture, polygons.rasterise(true, len(dataset.info["classes"]))))
    return cases


def predictions(cases: Sequence[tuple[str, np.ndarray, np.ndarray]], segment: Segmenter) -> Figure:
    """Each case with its true and its predicted classes by the run's rules, and the mean Dice at native resolution.

    Args:
        cases: title, picture (H, W) uint8 and true masks (C, H, W) uint8.
        segment: makes masks of a picture.
    """
    rows, names = [], []
    for title, picture, true in cases:
        found = segment(picture, title).mask
        counts = [confusion_counts(*pair) for pair in zip(found, true, strict=True)]
        scores = [dice(c.tp, c.fp, c.fn) for c in counts]
        names.append(f"{title}\nmean Dice {np.nanmean(scores):.2f}")
        grey = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        rows.append([samples.shrunk(pixels) for pixels in (grey, coloured(picture, true), coloured(picture, found))])
    return samples.grid(
        rows,
        names,
        ("picture", "truth", "prediction"),
        "Predictions at each picture's own size. Dice of these cases alone; the means are in the tables.",
        f"{len(rows)} pictures, each as it is, with its true classes and with the predicted ones in colour.",
    )


def coloured(picture: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """``picture`` (H, W) uint8 as RGB with every mask of (C, H, W) in its colour; where classes overlap, their mean."""
    colours = class_colours(len(masks)).astype(np.float32)
    total, count = np.zeros((*picture.shape, 3), np.float32), np.zeros(picture.shape, np.float32)
    for mask, colour in zip(masks.astype(bool), colours, strict=True):
        total[mask] += colour
        count[mask] += 1
    drawn = np.repeat(picture[:, :, None], 3, axis=2).astype(np.float32)
    covered = count > 0
    drawn[covered] = (1 - _OPACITY) * drawn[covered] + _OPACITY * total[covered] / count[covered, None]
    return drawn.round().astype(np.uint8)


def _masks(bits: np.ndarray, classes: int) -> np.ndarray:
    return np.stack([(bits >> number) & 1 for number in range(classes)]).astype(np.uint8)
