"""Checkpoints as ``.npz``: variables by name and the state of the loop as JSON; whole or not there; no pickle."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg import atomic
from medseg.experiments import checkpoints, outcome
from medseg.experiments.runs import Run
from medseg.tf_shared import tf

#: Name of the state among the arrays, and the file from which training goes on.
STATE, LAST = "state", "last.npz"


def numbered(kind: str, variables: Iterable[tf.Variable]) -> dict[str, tf.Variable]:
    """Variables by names such as ``optimizer/00003``, where their own change."""
    return {f"{kind}/{number:05d}": variable for number, variable in enumerate(variables)}


def write(path: Path, variables: Mapping[str, tf.Variable], state: Mapping[str, Any] | None = None) -> None:
    """Write ``variables`` and, where there is one, ``state`` (what JSON can say, NaN and infinity included)."""
    content: dict[str, Any] = {name: tf.convert_to_tensor(variable).numpy() for name, variable in variables.items()}
    if state is not None:
        content[STATE] = np.array(json.dumps(state))
    with atomic.replacing_file(path) as temporary:
        np.savez(temporary, **content)


def lower_precision(path: Path, precision: str) -> None:
    """Write the kernels of a file of weights as float16, all that NumPy knows: see :func:`checkpoints.halved`."""
    with np.load(path, allow_pickle=False) as content:
        arrays: dict[str, Any] = {name: checkpoints.halved(content[name]) for name in content}
    with atomic.replacing_file(path) as temporary:
        np.savez(temporary, **arrays)


def read_state(run: Run) -> dict[str, Any] | None:
    """The state of the loop in the checkpoint from which training goes on; None where there is none."""
    path = run.checkpoints / LAST
    if not path.is_file():
        return None
    with outcome.reading(path), np.load(path, allow_pickle=False) as content:
        return json.loads(str(content[STATE]))


def assign(path: Path, variables: Mapping[str, tf.Variable]) -> None:
    """Give ``variables`` their values in ``path``; a :class:`MedsegError` where it is damaged or holds others."""
    with outcome.reading(path), np.load(path, allow_pickle=False) as content:
        # A plain checkpoint is also read out of last.npz, which holds more.
        whole = any(name.startswith("optimizer/") for name in variables)
        found = {name for name in content if name != STATE and (whole or not name.startswith("optimizer/"))}
        if different := found ^ set(variables):
            raise ValueError(f"{min(different)} is not in both, the file and the network")
        arrays = {name: content[name] for name in variables}
        for name, variable in variables.items():
            if arrays[name].shape != tuple(variable.shape):
                raise ValueError(f"{name} has the shape {arrays[name].shape}, expected {tuple(variable.shape)}")
            variable.assign(arrays[name].astype(tf.as_dtype(variable.dtype).as_numpy_dtype, copy=False))
