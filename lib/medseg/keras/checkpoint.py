"""Checkpoints that a kill cannot spoil: one file each, written beside its place and then renamed; none needs pickle.

``frozen.npz`` holds what no step of training changes, once: with a frozen encoder that is nine tenths of the network.
``best_loss.npz``, ``best_iou.npz`` and ``last.npz`` hold the rest; ``last.npz`` also holds what training goes on from,
the optimizer's variables and the state of the loop as JSON. Where that is not kept of a finished training,
``latest.npz`` holds the weights of the latest epoch, which are scored. Each array has its variable's path for a name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras.optimizers import Optimizer

from medseg.tf_shared import npz

FROZEN = "frozen.npz"
#: Names by which a checkpoint is asked for, and their files.
FILES = {"best_loss": "best_loss.npz", "best_iou": "best_iou.npz", "latest": npz.LAST}
#: The weights of the latest epoch, where the checkpoint to go on from is not kept.
LATEST = "latest.npz"


def file_of(folder: Path, name: str) -> Path:
    """The file of a checkpoint, a name of ``FILES``, in the ``folder`` of a run's checkpoints."""
    alone = folder / LATEST
    return alone if name == "latest" and alone.is_file() else folder / FILES[name]


def save_frozen(network: keras.Model, folder: Path) -> None:
    """Write the part of ``network`` that training leaves as it is, if there is such a part."""
    if frozen := _variables(network)[1]:
        npz.write(folder / FROZEN, frozen)


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the part of ``network`` that training changes."""
    npz.write(path, _variables(network)[0])


def save_last(network: keras.Model, optimizer: Optimizer, state: Mapping[str, Any], path: Path) -> None:
    """The same with the optimizer that trains it and ``state`` (what JSON can say, NaN and infinity included)."""
    npz.write(path, {**_variables(network)[0], **_of_optimizer(optimizer)}, state)


def restore(network: keras.Model, path: Path, optimizer: Optimizer | None = None) -> None:
    """Give ``network`` the values that it had when ``path`` was written, those beside it in ``frozen.npz`` included.

    A built ``optimizer`` gets its values back too, if ``path`` is ``last.npz``. A :class:`MedsegError` where a file is
    missing, damaged, or of another network.
    """
    changing, frozen = _variables(network)
    if frozen:
        npz.assign(path.with_name(FROZEN), frozen)
    if optimizer:
        changing = {**changing, **_of_optimizer(optimizer)}
    npz.assign(path, changing)


def _variables(network: keras.Model) -> tuple[dict[str, keras.Variable], dict[str, keras.Variable]]:
    """What training changes, and what it does not, by path."""
    parts: tuple[dict[str, keras.Variable], dict[str, keras.Variable]] = ({}, {})
    for layer in network.layers:
        part, weights = parts[not layer.trainable], {id(weight) for weight in layer.weights}
        part.update({weight.path: weight for weight in layer.weights})
        # The place of a dropout in its random numbers; Keras counts these through a process in their own paths.
        seeds = [variable for variable in layer.variables if id(variable) not in weights]
        part.update({f"{layer.name}/seed/{number}": seed for number, seed in enumerate(seeds)})
    if len(parts[0]) + len(parts[1]) < sum(len(layer.variables) for layer in network.layers):
        raise ValueError("two variables of the network have the same path")
    return parts


def _of_optimizer(optimizer: Optimizer) -> dict[str, keras.Variable]:
    # Steps (the place in the schedule), momenta, the scale of the loss; numbered, for their paths change with the name.
    return npz.numbered("optimizer", optimizer.variables)
