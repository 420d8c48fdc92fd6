"""Pictures and labels of a prepared dataset: read for each kind of label, and kept in memory while there is room.

A row of the index (or any mapping with its columns ``image`` and ``label``) says what is read. All readers raise
MedsegError where a file cannot be read, or picture and label differ in size.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets import polygons
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

DEFAULT_BUDGET = 2 << 30

Reader = Callable[[PreparedDataset, Mapping[str, Any]], tuple[np.ndarray, np.ndarray]]


def read_binary(dataset: PreparedDataset, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) uint8 RGB and mask (H, W) uint8 of {0, 1}."""
    picture, label = _read_pair(dataset, row, "mask")
    return picture, (label > 127).astype(np.uint8)


def read_class_map(dataset: PreparedDataset, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) uint8 RGB and classes (H, W) uint8, 0 for the background."""
    return _read_pair(dataset, row, "label")


def read_polygons(dataset: PreparedDataset, row: Mapping[str, Any]) -> tuple[np.ndarray, polygons.PolygonSet]:
    """Grey picture (H, W) uint8 and true polygons."""
    picture, true = read_grey(dataset.path(row["image"])), read_outlines(dataset, row["label"])
    _check_sizes(dataset.path(row["image"]), picture.shape[1::-1], "polygons", true.size)
    return picture, true


def read_outlines(dataset: PreparedDataset, label: str) -> polygons.PolygonSet:
    """Polygons of an entry of the column ``label``."""
    file = dataset.path(label)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    return polygons.parse(text, dataset.info["classes"], project.display(file))


def read_rgb(path: Path) -> np.ndarray:
    """A picture of a prepared dataset: (H, W, 3) uint8 RGB."""
    return cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_grey(path: Path) -> np.ndarray:
    """A grey picture, a mask or a class map of a prepared dataset: (H, W) uint8."""
    return _decoded(path, cv2.IMREAD_GRAYSCALE)


class Frames:
    """Random access to pictures and labels of ``rows``; read-only, and always the same arrays while there is room.

    ``budget`` is of bytes of decoded pictures and labels in memory; what does not fit is read at each access. ``read``
    gives picture and label of a row, such as :func:`read_binary`.
    """

    def __init__(
        self, dataset: PreparedDataset, rows: pd.DataFrame, budget: int = DEFAULT_BUDGET, read: Reader = read_binary
    ) -> None:
        self._dataset, self._read = dataset, read
        self._rows = rows[["image", "label"]].to_dict("records")
        self._room = budget
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number in self._kept:
            return self._kept[number]
        pair = self._read(self._dataset, self._rows[number])
        for array in pair:
            array.flags.writeable = False
        size = sum(array.nbytes for array in pair)
        if size <= self._room:
            self._room -= size
            self._kept[number] = pair
        return pair


def epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order in which an epoch (from 0) goes through ``length`` items: a permutation drawn from (seed, epoch)."""
    return np.random.default_rng([seed, epoch]).permutation(length)


def _read_pair(dataset: PreparedDataset, row: Mapping[str, Any], what: str) -> tuple[np.ndarray, np.ndarray]:
    picture, label = read_rgb(dataset.path(row["image"])), read_grey(dataset.path(row["label"]))
    _check_sizes(dataset.path(row["image"]), picture.shape[1::-1], what, label.shape[::-1])
    return picture, label


def _check_sizes(image: Path, size: tuple[int, ...], what: str, label_size: tuple[int, ...]) -> None:
    if size != label_size:
        raise MedsegError(
            f"{project.display(image)} is {size[0]} x {size[1]}, its {what} {label_size[0]} x {label_size[1]}. "
            "Prepare the dataset again."
        )


def _decoded(path: Path, mode: int) -> np.ndarray:
    try:
        decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), mode)
    except (OSError, cv2.error) as error:
        raise _unreadable(path, error) from error
    if decoded is None:
        raise MedsegError(f"{project.display(path)} is not a readable picture. Prepare the dataset again.")
    return decoded


def _unreadable(path: Path, error: Exception) -> MedsegError:
    return MedsegError(f"{project.display(path)} cannot be read ({error}). Prepare the dataset again.")
