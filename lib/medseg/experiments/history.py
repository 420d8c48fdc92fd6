"""The figures of every epoch of a training: kept, written as ``history.csv``, shown as one line of progress."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from medseg.errors import MedsegError
from medseg.experiments.budget import Budget
from medseg.experiments.loggers import Loggers
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run

#: What a person calls the figures that a line of progress can show.
_NAMES = {"dice": "Dice", "iou": "IoU", "binary_iou": "binary IoU"}

Row = dict[str, Any]


class History:
    """One row per epoch (from 1) and split (``train``, ``validation``), the same for all frameworks, in ``rows``.

    A row has epoch, split, the figures (loss first), learning_rate and seconds (of the whole epoch). The rows travel in
    the checkpoint from which training goes on (:meth:`state`, :meth:`restore`): after a kill the history is that of the
    checkpoint's epoch. ``shown`` is the column, besides the loss, whose values the line of progress shows: dice, iou or
    binary_iou. ``budget`` has further limits than ``max_epochs``.
    """

    def __init__(self, run: Run, max_epochs: int, shown: str, budget: Budget | None = None) -> None:
        self._run, self._max_epochs, self._shown = run, max_epochs, shown
        self._budget = budget or Budget()
        self.rows: list[Row] = []
        self._progress, self._loggers = Progress(run.folder), Loggers(run)

    @property
    def epoch(self) -> int:
        """The last epoch that has figures, 0 before the first."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def seconds(self) -> float:
        """That all epochs took, those before a kill included."""
        return sum(row["seconds"] for row in self.rows if row["split"] == "train")

    def ending(self, epoch: int | None = None, since: float = 0.0) -> str:
        """Which limit ends the training now: max_steps, max_minutes or max_epochs; nothing if it may go on.

        ``epoch`` is about to end (None: the last one that has figures); ``since`` are seconds not in the history yet.
        """
        epoch = self.epoch if epoch is None else epoch
        return self._budget.used_up(epoch, self.seconds + since) or ("max_epochs" if epoch >= self._max_epochs else "")

    def begin(self) -> None:
        """Show that the next epoch begins; ``history.csv`` has no epoch that is trained again."""
        if self.rows:
            self._run.write_table("history.csv", pd.DataFrame(self.rows))
        else:
            (self._run.folder / "history.csv").unlink(missing_ok=True)
        self._show(f"{self._place(self.epoch + 1)} ...")
        self._loggers.begin(self.epoch + 1)

    def add(self, epoch: int, split: str, figures: Mapping[str, float], learning_rate: float, seconds: float) -> None:
        """Add the ``figures`` (``loss`` and others) of a split in an epoch that took ``seconds``; ``train`` first.

        A :class:`MedsegError` where the loss is not finite.
        """
        if not math.isfinite(figures["loss"]):
            name = {"train": "training"}.get(split, split)
            raise MedsegError(
                f"The {name} loss became {figures['loss']} in epoch {epoch}. Try a lower learning_rate or "
                "precision='fp32'; delete the run's folder to start again."
            )
        rest = {"learning_rate": learning_rate, "seconds": round(seconds, 3)}
        self.rows.append({"epoch": epoch, "split": split, **figures, **rest})

    def best(self, column: str, mode: Literal["max", "min"] = "max") -> Row | None:
        """The first of :func:`ranked`; None before the first validation."""
        return next(iter(ranked(self.rows, column, mode)), None)

    def write(self) -> None:
        """Write ``history.csv`` and show the line of the last epoch."""
        self._run.write_table("history.csv", pd.DataFrame(self.rows))
        self._loggers.epoch([row for row in self.rows if row["epoch"] == self.epoch])
        self._show(self.line())

    def line(self) -> str:
        """The last epoch in one line: loss and the shown figure of both splits, the best so far, seconds."""
        rows = {row["split"]: row for row in self.rows if row["epoch"] == self.epoch}
        texts = [
            ", ".join(f"{row[column]:.3f} {split}" for split, row in rows.items()) for column in ("loss", self._shown)
        ]
        best = self.best(self._shown)
        noted = f" (best {best[self._shown]:.3f} in epoch {best['epoch']})" if best else ""
        return (
            f"{self._place(self.epoch)} | loss {texts[0]} | {_NAMES[self._shown]} {texts[1]}{noted} | "
            f"{rows['train']['seconds']:.1f} s"
        )

    def state(self, *, ended: bool) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON can say it: epoch, rows, steps so far, and whether training ended with this
        epoch and why.
        """
        return {
            "epoch": self.epoch,
            "ended": ended,
            "ended_by": (self.ending() or "early stopping") if ended else "",
            "steps": self.epoch * self._budget.steps_per_epoch,
            "rows": list(self.rows),
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what :meth:`state` gave; nothing happens with None."""
        if state:
            self.rows = list(state["rows"])

    def _place(self, epoch: int) -> str:
        nearest = self._budget.progress(self.epoch, self.seconds)
        return f"epoch {epoch}, {nearest[2]}" if nearest else f"epoch {epoch}/{self._max_epochs}"

    def _show(self, text: str) -> None:
        nearest = self._budget.progress(self.epoch, self.seconds)
        self._progress.update(*(nearest[:2] if nearest else (self.epoch, self._max_epochs)), text)


def ranked(rows: list[Row], column: str, mode: Literal["max", "min"] = "max") -> list[Row]:
    """The validation rows by ``column``, best first: the earlier of two that are equal, what is NaN at the end."""
    sign = -1 if mode == "max" else 1
    validated = [row for row in rows if row["split"] == "validation"]
    return sorted(validated, key=lambda row: math.inf if math.isnan(row[column]) else sign * row[column])
