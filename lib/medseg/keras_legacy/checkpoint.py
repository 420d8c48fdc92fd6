"""Checkpoints that a kill cannot spoil: one file each, written beside its place and then renamed.

``best.h5`` holds the weights as Keras itself saves them. ``last.npz`` holds all that training goes on from: weights,
the optimizer's variables, and the state of the loop as JSON. Neither needs pickle.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from medseg import atomic
from medseg.errors import MedsegError


def save_best(network: tf_keras.Model, path: Path) -> None:
    """Write the weights of ``network`` to ``path``, a HDF5 file."""
    _replace(path, lambda temporary: network.save_weights(temporary, save_format="h5"))


def save_last(network: tf_keras.Model, state: dict[str, Any], path: Path) -> None:
    """Write the compiled ``network``, its optimizer and ``state`` (what JSON can say, NaN and infinity included)."""
    arrays = {
        f"{kind}/{number:05d}": variable.numpy()
        for kind, variables in _variables(network).items()
        for number, variable in enumerate(variables)
    }
    _replace(path, lambda temporary: np.savez(temporary, state=np.array(json.dumps(state)), **arrays))


def read_state(path: Path) -> dict[str, Any] | None:
    """The state of the loop in a checkpoint; None where there is no checkpoint.

    Raises:
        MedsegError: the file is not a whole checkpoint.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            return json.loads(str(content["state"]))
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise _unreadable(path, error) from error


def restore(network: tf_keras.Model, path: Path) -> None:
    """Give the compiled ``network`` and its optimizer the values that they had in ``path``.

    Raises:
        MedsegError: the file is damaged, or of another network.
    """
    network.optimizer.build(network.trainable_variables)
    try:
        with np.load(path, allow_pickle=False) as content:
            for kind, variables in _variables(network).items():
                saved = sorted(name for name in content.files if name.startswith(f"{kind}/"))
                for name, variable in zip(saved, variables, strict=True):
                    variable.assign(content[name])
    except Exception as error:
        raise _unreadable(path, error) from error


def _variables(network: tf_keras.Model) -> dict[str, list[tf.Variable]]:
    optimizer = network.optimizer
    # Keras does not count the learning rate among the variables: number of steps, moments.
    optimizer_variables = [*optimizer.variables, optimizer.learning_rate]
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        scale = optimizer._loss_scale
        optimizer_variables += [scale.current_loss_scale, scale.counter]
    return {"network": network.weights, "optimizer": optimizer_variables}


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` write a file, which then takes the place of ``path``."""
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    with atomic.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)


def _unreadable(path: Path, error: Exception) -> MedsegError:
    return MedsegError(
        f"The checkpoint {path.name} of the run {path.parent.parent.name} cannot be read ({error}). "
        "Delete the folder checkpoints/ of the run to train it from the start."
    )
