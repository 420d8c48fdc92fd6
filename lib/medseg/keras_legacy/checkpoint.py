"""Checkpoints that a kill cannot spoil: one file each, written beside its place and then renamed.

``best.h5`` holds the weights as Keras itself saves them. ``last.npz`` holds all that training goes on from: weights,
the optimizer's variables, and the state of the loop as JSON. Neither needs pickle.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from medseg import atomic
from medseg.tf_shared import npz


def save_best(network: tf_keras.Model, path: Path) -> None:
    """Write the weights of ``network`` to ``path``, a HDF5 file."""
    with atomic.replacing_file(path) as temporary:
        network.save_weights(temporary, save_format="h5")


def save_last(network: tf_keras.Model, state: dict[str, Any], path: Path) -> None:
    """Write the compiled ``network``, its optimizer and ``state`` (what JSON can say, NaN and infinity included)."""
    arrays = {
        f"{kind}/{number:05d}": variable.numpy()
        for kind, variables in _variables(network).items()
        for number, variable in enumerate(variables)
    }
    npz.write(path, arrays, state)


def restore(network: tf_keras.Model, path: Path) -> None:
    """Give the compiled ``network`` and its optimizer the values that they had in ``path``.

    Raises:
        MedsegError: the file is damaged, or of another network.
    """
    network.optimizer.build(network.trainable_variables)
    with npz.opened(path) as content:
        for kind, variables in _variables(network).items():
            saved = sorted(name for name in content if name.startswith(f"{kind}/"))
            for name, variable in zip(saved, variables, strict=True):
                variable.assign(content[name])


def _variables(network: tf_keras.Model) -> dict[str, list[tf.Variable]]:
    optimizer = network.optimizer
    # Keras does not count the learning rate among the variables: number of steps, moments.
    optimizer_variables = [*optimizer.variables, optimizer.learning_rate]
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        scale = optimizer._loss_scale
        optimizer_variables += [scale.current_loss_scale, scale.counter]
    return {"network": network.weights, "optimizer": optimizer_variables}
