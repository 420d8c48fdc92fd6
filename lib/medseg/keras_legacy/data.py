"""Batches for Keras: one ``Sequence`` for both ways to feed, each item a function of (seed, epoch, number) alone."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tf_keras

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import generator, plain_resize
from medseg.datasets.frames import Frames, epoch_order
from medseg.datasets.index import PreparedDataset

Preprocess = Callable[[np.ndarray], np.ndarray]
Item = tuple[np.ndarray, np.ndarray]


class _Batches(tf_keras.utils.Sequence):
    """Pictures (B, R, R, 3) float32, normalised for the backbone, and masks (B, R, R, 1) uint8 of {0, 1}.

    ``failure`` is the exception that kept it from making a batch, of which ``fit`` would only pass on the text.
    """

    def __init__(self, preprocess: Preprocess, batch_size: int, workers: int) -> None:
        self._preprocess, self._batch_size = preprocess, batch_size
        # Threads: decoding and warping leave Python's lock alone, and nothing has to be copied between processes.
        self._map = ThreadPoolExecutor(workers).map if workers else map
        self._keys: Sequence[Any] = ()
        self.failure: Exception | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self._keys) / self._batch_size)

    def __getitem__(self, number: int) -> Item:
        first = number * self._batch_size
        try:
            items = list(self._map(self._item, self._keys[first : first + self._batch_size]))
        except Exception as error:
            self.failure = error
            raise
        pictures, masks = (np.stack(arrays) for arrays in zip(*items, strict=True))
        return self._preprocess(pictures), masks[..., None]

    def _item(self, key: Any) -> Item:
        raise NotImplementedError


class TrainingBatches(_Batches):
    """Shuffled, augmented batches of the split ``train``; ``on_epoch_end`` goes on to the next epoch.

    A last batch of a single item is left out: batch normalisation has too little to measure in it.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        preprocess: Preprocess,
        *,
        resolution: int,
        augmentation: str,
        batch_size: int,
        seed: int,
        workers: int = 0,
    ) -> None:
        super().__init__(preprocess, batch_size, workers)
        self._frames, self._seed = Frames(dataset, dataset.split("train")), seed
        self._augmentation = build_augmentation(augmentation, resolution)
        self.start(0)

    def start(self, epoch: int) -> None:
        """Make the next pass that of ``epoch`` (from 0)."""
        self._epoch, items = epoch, len(self._frames)
        alone = items > self._batch_size and items % self._batch_size == 1
        order = epoch_order(self._seed, epoch, items)[: items - alone]
        self._keys = [(epoch, int(number)) for number in order]

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; ``fit`` calls it once after each."""
        self.start(self._epoch + 1)

    def _item(self, key: tuple[int, int]) -> Item:
        epoch, number = key
        return self._augmentation(*self._frames[number], generator(self._seed, epoch, number))


class ValidationBatches(_Batches):
    """Batches of the split ``validation``, in the order of the index, resized and nothing else."""

    def __init__(
        self, dataset: PreparedDataset, preprocess: Preprocess, *, resolution: int, batch_size: int, workers: int = 0
    ) -> None:
        super().__init__(preprocess, batch_size, workers)
        self._frames, self._resolution = Frames(dataset, dataset.split("validation")), resolution
        self._keys = range(len(self._frames))

    def _item(self, key: int) -> Item:
        return plain_resize(*self._frames[key], self._resolution)
