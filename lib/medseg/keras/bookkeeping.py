"""What happens at the end of each epoch besides training: history, progress, checkpoints, an early end."""

from collections.abc import Mapping
from typing import Any, Literal

import keras

from medseg.experiments.history import History, Row, ranked
from medseg.experiments.runs import Run
from medseg.keras import checkpoint

#: By which validation figure the two best checkpoints are chosen, and whether more or less of it is better.
BEST: dict[str, tuple[str, Literal["min", "max"]]] = {"best_loss": ("loss", "min"), "best_iou": ("binary_iou", "max")}


class Bookkeeping:
    """Keeps ``history.csv`` and the checkpoints in step and shows one line of progress.

    Args:
        run: whose folder is written.
        network: that is trained.
        optimizer: by this one.
        max_epochs: how many epochs there will be at most.
        patience: epochs without a better validation loss or binary IoU before training ends; 0: it goes on.
        state: what an earlier process left, see :func:`medseg.tf_shared.npz.read_state`.
    """

    def __init__(
        self,
        run: Run,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        max_epochs: int,
        patience: int,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._run, self._network, self._optimizer = run, network, optimizer
        self._max_epochs, self._patience = max_epochs, patience
        self._history = History(run, max_epochs, shown="binary_iou")
        self._history.restore(state)

    def begin(self) -> None:
        """Show that the first epoch begins; keep what no epoch changes, once."""
        if not self._history.epoch:
            checkpoint.save_frozen(self._network, self._run.checkpoints)
        self._history.begin()

    def epoch(
        self, train: Mapping[str, float], validation: Mapping[str, float], learning_rate: float, seconds: float
    ) -> bool:
        """Add the figures of a finished epoch and save; returns whether training ends with it.

        Raises:
            MedsegError: a loss is not finite.
        """
        number = self._history.epoch + 1
        for split, figures in (("train", train), ("validation", validation)):
            self._history.add(number, split, figures, learning_rate, seconds)
        best = best_epochs(self._history.rows)
        for name, row in best.items():
            if row["epoch"] == number:
                checkpoint.save_weights(self._network, self._run.checkpoints / checkpoint.FILES[name])
        unimproved = number - max(row["epoch"] for row in best.values())
        ended = number >= self._max_epochs or 0 < self._patience <= unimproved
        state = self._history.state(ended=ended)
        checkpoint.save_last(self._network, self._optimizer, state, self._run.checkpoints / checkpoint.FILES["latest"])
        self._history.write()
        return ended


def best_epochs(rows: list[Row]) -> dict[str, Row]:
    """For each name of ``BEST`` the validation row of its first best epoch."""
    return {name: ranked(rows, *by)[0] for name, by in BEST.items()}
