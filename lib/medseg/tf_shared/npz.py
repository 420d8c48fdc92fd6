"""Checkpoints as ``.npz``: arrays by name and the state of the loop as JSON; whole or not there, and without pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from medseg import atomic
from medseg.experiments import outcome
from medseg.experiments.runs import Run

#: Name of the state among the arrays, and the file from which training goes on.
STATE, LAST = "state", "last.npz"


def write(path: Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any] | None = None) -> None:
    """Write ``arrays`` and, where there is one, ``state`` (what JSON can say, NaN and infinity included)."""
    content: dict[str, Any] = {**arrays, **({} if state is None else {STATE: np.array(json.dumps(state))})}
    with atomic.replacing_file(path) as temporary:
        np.savez(temporary, **content)


def read_state(run: Run) -> dict[str, Any] | None:
    """The state of the loop in the checkpoint from which training goes on; None where there is none."""
    path = run.checkpoints / LAST
    if not path.is_file():
        return None
    with opened(path) as content:
        return json.loads(str(content[STATE]))


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays in ``path``; a :class:`MedsegError` where it is damaged, or the block does not accept what it has."""
    with outcome.reading(path), np.load(path, allow_pickle=False) as content:
        yield content
