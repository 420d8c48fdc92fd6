"""A network of Keras alone, for :mod:`medseg.evaluation.cost`."""

import os
from collections.abc import Callable

import numpy as np

from medseg.evaluation.cost import BareNetwork
from medseg.tf_shared import keras, macs, tf
from medseg.tf_shared.device import Device


def bare_network(
    network: keras.Model, logits: Callable[[np.ndarray], tf.Tensor], resolution: int, device: Device
) -> BareNetwork:
    """``logits`` (B, R, R, C) are those of uint8 pictures (B, R, R, 3), R the ``resolution``, by ``network``."""
    shape = (resolution, resolution, 3)

    def through(pictures: np.ndarray) -> None:
        logits(pictures)[-1, -1, -1, -1].numpy()  # a value can be read when all are there

    def count() -> int | None:
        return macs.count(lambda seen: network(seen, training=False), tf.TensorSpec([1, *shape], tf.float32))

    return BareNetwork(through, shape, resolution, parameters(network), count, device, _threads())


def parameters(network: keras.Model) -> int:
    """Parameters, frozen ones among them, without the running means and variances of normalisation."""
    learned = (w for w in network.weights if not w.name.rsplit("/", 1)[-1].startswith("moving_"))
    return int(sum(np.prod(weights.shape) for weights in learned))


def _threads() -> int:
    """Threads that an operation is spread over on the CPU; TensorFlow calls all that it may have 0."""
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return tf.config.threading.get_intra_op_parallelism_threads() or every
