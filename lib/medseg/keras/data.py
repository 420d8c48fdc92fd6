"""Batches for Keras by tf.data: each item a function of (seed, epoch, number) alone, so that a run repeats."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from medseg import project
from medseg.datasets.augmentation.warp import plain_resize
from medseg.datasets.frames import DEFAULT_BUDGET, Frames, read_class_map
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.keras.augment import augment, item_seed, loaded_side


def items(dataset: PreparedDataset, rows: pd.DataFrame, side: int, budget: int = DEFAULT_BUDGET) -> Frames:
    """Pictures and class maps of ``rows``, decoded and resized to a square once, and kept while there is room.

    Each is a picture (S, S, 3) uint8 RGB, averaged over areas where it shrinks, and a label (S, S) uint8, nearest
    pixel; S is ``side``, the aspect ratio is not kept. What does not fit into ``budget`` bytes is decoded at each
    access. To read one raises :class:`MedsegError` where a file cannot be read, the two differ in size, or a label is
    no class.
    """
    last = len(dataset.info["classes"])

    def read(dataset: PreparedDataset, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        picture, label = read_class_map(dataset, row)
        if label.max() > last:
            raise MedsegError(
                f"{project.display(dataset.path(row['label']))} holds the value {label.max()}, expected 0 to {last}: "
                "background and classes. Prepare the dataset again."
            )
        return plain_resize(picture, label, side)

    return Frames(dataset, rows, budget, read)


@dataclass
class Batches:
    """What a training is fed with."""

    dataset: tf.data.Dataset  # pictures (B, R, R, 3) float32 in [0, 1] and labels (B, R, R, 1) uint8
    steps: int  # batches in an epoch
    failure: Exception | None = None  # what kept it from making a batch; TensorFlow would only pass on the text


def training_batches(
    dataset: PreparedDataset,
    *,
    resolution: int,
    augmentation: Sequence[str],
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    max_epochs: int = 1,
    workers: int = 0,
    replicas: int = 1,
) -> Batches:
    """Shuffled, augmented batches of the split ``train``, from ``first_epoch`` (from 0) to before ``max_epochs``.

    ``replicas`` devices share a batch; a last one of less than two items for each is left out: batch normalisation has
    too little to measure. ``workers`` threads decode; with more than one, as many batches are made at the same time.
    """
    side = loaded_side(resolution, augmentation)
    found = items(dataset, dataset.split("train"), side)
    number = len(found)
    rest = number % batch_size if number > batch_size else 0
    used = number - rest if 0 < rest < 2 * replicas else number
    batches = Batches(tf.data.Dataset.range(first_epoch, max_epochs), math.ceil(used / batch_size))

    def shuffled(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(number, dtype=tf.int64), key)[:used]
        chosen = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return chosen.map(lambda numbers: (epoch, numbers))

    load = _loader(found, side, batches, workers)

    def make(epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def one(item: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            picture, label, own = item
            return augment(picture, label, item_seed(seed, epoch, own), resolution, augmentation)

        pictures, labels = load(numbers)
        return tf.map_fn(one, (pictures, labels, numbers), fn_output_signature=(tf.float32, tf.uint8))

    made = batches.dataset.flat_map(shuffled).map(make, num_parallel_calls=max(1, workers))
    batches.dataset = _finished(made)
    return batches


def validation_batches(
    dataset: PreparedDataset, *, resolution: int, batch_size: int, workers: int = 0, replicas: int = 1
) -> Batches:
    """Batches of the split ``validation``, in the order of the index, resized and divided by 255, and nothing else.

    What would be too few items for the devices that share a batch joins the batch before.
    """
    found = items(dataset, dataset.split("validation"), resolution)
    number = len(found)
    steps = math.ceil(number / batch_size)
    if steps > 1 and 0 < number % batch_size < replicas:
        steps -= 1

    def chosen(step: tf.Tensor) -> tf.Tensor:
        end = tf.where(step == steps - 1, tf.constant(number, tf.int64), (step + 1) * batch_size)
        return tf.range(step * batch_size, end)

    def make(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pictures, labels = load(numbers)
        return tf.cast(pictures, tf.float32) / 255, labels

    batches = Batches(tf.data.Dataset.range(steps).map(chosen), steps)
    load = _loader(found, resolution, batches, workers)
    batches.dataset = _finished(batches.dataset.map(make, num_parallel_calls=max(1, workers)))
    return batches


def _loader(
    found: Frames, side: int, batches: Batches, workers: int
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function from numbers of items (B,) to pictures (B, S, S, 3) and labels (B, S, S), both uint8, in the graph."""
    # Threads: decoding leaves Python's lock alone, and nothing has to be copied between processes.
    every = ThreadPoolExecutor(workers).map if workers > 1 else map

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            pictures, labels = zip(*every(found.__getitem__, numbers.tolist()), strict=True)
        except Exception as error:
            batches.failure = error
            raise
        return np.stack(pictures), np.stack(labels)

    def load(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pictures, labels = tf.numpy_function(read, [numbers], [tf.uint8, tf.uint8])
        return tf.ensure_shape(pictures, (None, side, side, 3)), tf.ensure_shape(labels, (None, side, side))

    return load


def _finished(made: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    # Several devices each take a part of every batch; no device has a part of the files to itself.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    made = made.map(lambda pictures, labels: (pictures, labels[..., None]))
    return made.prefetch(2).with_options(options)
