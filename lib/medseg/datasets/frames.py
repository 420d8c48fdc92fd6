"""Pictures and masks of a prepared dataset, decoded once and kept in memory while there is room."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

DEFAULT_BUDGET = 2 << 30


class Frames:
    """Random access to the decoded samples of ``rows``.

    Args:
        dataset: where the files lie.
        rows: rows of its index.
        budget: bytes of decoded pictures and masks kept in memory; what does not fit is decoded at each access.
    """

    def __init__(self, dataset: PreparedDataset, rows: pd.DataFrame, budget: int = DEFAULT_BUDGET) -> None:
        self._dataset = dataset
        self._files = list(zip(rows["image"], rows["label"], strict=True))
        self._room = budget
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture (H, W, 3) uint8 RGB and mask (H, W) uint8 of {0, 1}; read-only.

        Raises:
            MedsegError: a file cannot be read, or the two differ in size.
        """
        if number in self._kept:
            return self._kept[number]
        image_file, label_file = (self._dataset.path(name) for name in self._files[number])
        image = cv2.cvtColor(read_picture(image_file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        mask = (read_picture(label_file, cv2.IMREAD_GRAYSCALE) > 127).astype(np.uint8)
        if image.shape[:2] != mask.shape:
            raise MedsegError(
                f"{project.display(image_file)} is {image.shape[1]} x {image.shape[0]}, its mask "
                f"{mask.shape[1]} x {mask.shape[0]}. Prepare the dataset again."
            )
        image.flags.writeable = mask.flags.writeable = False
        size = image.nbytes + mask.nbytes
        if size <= self._room:
            self._room -= size
            self._kept[number] = image, mask
        return image, mask


def epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order in which an epoch (from 0) goes through ``length`` samples: a permutation drawn from (seed, epoch)."""
    return np.random.default_rng([seed, epoch]).permutation(length)


def read_picture(path: Path, mode: int) -> np.ndarray:
    """A picture of a prepared dataset as OpenCV reads it in ``mode``, such as ``cv2.IMREAD_GRAYSCALE``.

    Raises:
        MedsegError: it cannot be read.
    """
    try:
        decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), mode)
    except (OSError, cv2.error) as error:
        raise MedsegError(f"{project.display(path)} cannot be read ({error}). Prepare the dataset again.") from error
    if decoded is None:
        raise MedsegError(f"{project.display(path)} is not a readable picture. Prepare the dataset again.")
    return decoded
