"""The two ways to feed a compiled network; with the same batches both train the same and show the same figures."""

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf
import tf_keras

from medseg.keras_legacy.data import TrainingBatches, ValidationBatches

_M_MMAP_THRESHOLD, _LARGE = -3, 1 << 17


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
    _give_back_batches()
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


def _give_back_batches() -> None:
    """Make freed batches go back to the system at once.

    glibc would keep them, in a pool for each thread; TensorFlow has several threads, and under ``fit`` their pools grow
    for a thousand steps before they level off. (mallopt(3): blocks of 128 KiB and more are mapped one by one.)
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def _ahead(batches: tf_keras.utils.Sequence) -> Iterator[Any]:
    """All batches of an epoch; the next is made while the network is busy with one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(batches.__getitem__, 0)
        for following in range(1, len(batches) + 1):
            batch = coming.result()
            if following < len(batches):
                coming = thread.submit(batches.__getitem__, following)
            yield batch
