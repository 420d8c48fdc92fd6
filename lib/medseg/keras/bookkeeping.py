"""What happens at the end of each epoch besides training: history, progress, checkpoints, an early end."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.keras import checkpoint

#: By which validation figure the two best checkpoints are chosen; the sign says that less of a loss is better.
BEST = {"best_loss": ("loss", -1), "best_iou": ("binary_iou", 1)}


class Bookkeeping:
    """Keeps ``history.csv`` and the checkpoints in step and shows one line of progress.

    Args:
        run: whose folder is written.
        network: that is trained.
        optimizer: by this one.
        max_epochs: how many epochs there will be at most.
        patience: epochs without a better validation loss or binary IoU before training ends; 0: it goes on.
        state: what an earlier process left, see :func:`medseg.keras.checkpoint.read_state`.
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
        self._rows: list[dict[str, Any]] = list(state["rows"]) if state else []
        self._progress = Progress(run.folder)

    def begin(self) -> None:
        """Show that the first epoch begins; keep what no epoch changes, once."""
        done = len(self._rows) // 2
        if not done:
            checkpoint.save_frozen(self._network, self._run.checkpoints)
        self._progress.update(done, self._max_epochs, f"epoch {done + 1}/{self._max_epochs} ...")

    def epoch(
        self, train: Mapping[str, float], validation: Mapping[str, float], learning_rate: float, seconds: float
    ) -> bool:
        """Add the figures of a finished epoch and save; returns whether training ends with it.

        Raises:
            MedsegError: a loss is not finite.
        """
        number = len(self._rows) // 2 + 1
        for name, figures in (("training", train), ("validation", validation)):
            if not math.isfinite(figures["loss"]):
                raise MedsegError(
                    f"The {name} loss became {figures['loss']} in epoch {number}. Try a lower learning_rate or "
                    "precision='fp32'; delete the run's folder to start again."
                )
        rest = {"learning_rate": learning_rate, "seconds": round(seconds, 3)}
        for split, figures in (("train", train), ("validation", validation)):
            self._rows.append({"epoch": number, "split": split, **figures, **rest})
        best = best_epochs(self._rows)
        for name, row in best.items():
            if row["epoch"] == number:
                checkpoint.save_weights(self._network, self._run.checkpoints / checkpoint.FILES[name])
        unimproved = number - max(row["epoch"] for row in best.values())
        ended = number >= self._max_epochs or 0 < self._patience <= unimproved
        state = {"epoch": number, "ended": ended, "rows": self._rows}
        checkpoint.save_last(self._network, self._optimizer, state, self._run.checkpoints / checkpoint.LAST)
        self._run.write_table("history.csv", pd.DataFrame(self._rows))
        self._progress.update(
            number,
            self._max_epochs,
            f"epoch {number}/{self._max_epochs} | loss {train['loss']:.3f} train, {validation['loss']:.3f} validation "
            f"| binary IoU {train['binary_iou']:.3f} train, {validation['binary_iou']:.3f} validation "
            f"(best {best['best_iou']['binary_iou']:.3f} in epoch {best['best_iou']['epoch']}) | {seconds:.1f} s",
        )
        return ended


def best_epochs(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each name of ``BEST`` the validation row of its first best epoch."""
    validation = [row for row in rows if row["split"] == "validation"]
    return {
        name: max(validation, key=lambda row, column=column, sign=sign: sign * row[column])
        for name, (column, sign) in BEST.items()
    }
