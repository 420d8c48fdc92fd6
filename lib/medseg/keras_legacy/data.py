"""Batches for Keras, each item a function of (seed, epoch, number) alone, and the two ways to feed a network with them.

With the same batches both ways train the same and show the same figures.
"""

import contextlib
import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from medseg.datasets.augmentation.presets import build_augmentation, reader
from medseg.datasets.augmentation.warp import Resize, generator
from medseg.datasets.frames import Frames, epoch_order
from medseg.datasets.index import PreparedDataset

Preprocess = Callable[[np.ndarray], np.ndarray]
Item = tuple[np.ndarray, np.ndarray]
#: glibc's ``mallopt``: free bytes at the pool's end that go back to the system, blocks beside the pool, pools.
_MALLOPT = {-1: 2**31 - 1, -4: 0, -8: 1}


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
        self._augmentation = build_augmentation(augmentation, resolution)
        self._frames, self._seed = Frames(dataset, dataset.split("train"), read=reader(self._augmentation)), seed
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
        self._frames = Frames(dataset, dataset.split("validation"), read=reader(Resize(resolution)))
        self._keys = range(len(self._frames))

    def _item(self, key: int) -> Item:
        return self._frames[key]


def feed(
    feeding: str,
    network: tf_keras.Model,
    training: TrainingBatches,
    validation: ValidationBatches,
    callbacks: Sequence[tf_keras.callbacks.Callback],
    *,
    first_epoch: int,
    max_epochs: int,
) -> None:
    """Train from ``first_epoch`` (from 0) to ``max_epochs`` or until a callback ends it; ``feeding``: of `FEEDINGS`."""
    _share_one_pool()
    training.start(first_epoch)
    FEEDINGS[feeding](network, training, validation, list(callbacks), range(first_epoch, max_epochs))


def fit(
    network: tf_keras.Model, training: TrainingBatches, validation: ValidationBatches, callbacks: list, epochs: range
) -> None:
    try:
        network.fit(
            training,
            validation_data=validation,
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            callbacks=callbacks,
            shuffle=False,  # the batches are shuffled themselves, by seed and epoch
            verbose=0,
        )
    except tf.errors.OpError as error:
        raise (training.failure or validation.failure or error) from None


def train_on_batch(
    network: tf_keras.Model, training: TrainingBatches, validation: ValidationBatches, callbacks: list, epochs: range
) -> None:
    """The same, batch by batch. Nothing is kept of a step but Keras's running sums, so that memory stays flat."""
    every = tf_keras.callbacks.CallbackList(callbacks, model=network)
    network.stop_training = False
    every.on_train_begin()
    logs: dict[str, Any] = {}
    for epoch in epochs:
        network.reset_metrics()
        every.on_epoch_begin(epoch)
        for step, batch in enumerate(_ahead(training)):
            every.on_train_batch_begin(step)
            logs = network.train_on_batch(*batch, reset_metrics=False, return_dict=True)
            every.on_train_batch_end(step, logs)
        network.reset_metrics()
        for batch in _ahead(validation):
            validated = network.test_on_batch(*batch, reset_metrics=False, return_dict=True)
        every.on_epoch_end(epoch, {**logs, **{f"val_{name}": value for name, value in validated.items()}})
        if network.stop_training:
            break
        training.on_epoch_end()
    every.on_train_end(logs)


FEEDINGS: dict[str, Callable[..., None]] = {"fit": fit, "train_on_batch": train_on_batch}


def _share_one_pool() -> None:
    """Make the C library take all memory from one pool, and keep what it has for the next step.

    A step takes what the step before took. glibc would ask the system for every large block anew, which costs a CPU a
    fifth of its time, or with its own settings keep a pool for each of TensorFlow's threads, which grow under ``fit``.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            for setting, value in _MALLOPT.items():
                ctypes.CDLL(None).mallopt(setting, value)


def _ahead(batches: tf_keras.utils.Sequence) -> Iterator[Any]:
    """All batches of an epoch; the next is made while the network is busy with one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(batches.__getitem__, 0)
        for following in range(1, len(batches) + 1):
            batch = coming.result()
            if following < len(batches):
                coming = thread.submit(batches.__getitem__, following)
            yield batch
