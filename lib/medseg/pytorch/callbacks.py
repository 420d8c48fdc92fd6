"""What happens at the end of each epoch besides training: history, progress, checkpoints."""

import io
import time
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from medseg import atomic
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run


class History(Checkpoint):
    """Keeps ``history.csv`` in step with the checkpoints and shows one line of progress.

    The rows travel in the checkpoint: after a kill the history is that of the epoch from which training goes on.
    It is a ``Checkpoint`` to Lightning because only those are called after the task has closed its epoch.
    """

    def __init__(self, run: Run, max_epochs: int) -> None:
        self._run, self._max_epochs = run, max_epochs
        self._rows: list[dict[str, Any]] = []
        self._ended = False
        self._progress = Progress(run.folder)

    @property
    def table(self) -> pd.DataFrame:
        """One row per epoch (from 1) and split."""
        return pd.DataFrame(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and whether the training ended with the last of them."""
        return {"rows": self._rows, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows up to the checkpoint."""
        self._rows, self._ended = list(state_dict["rows"]), state_dict["ended"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Show that the first epoch begins."""
        done = trainer.current_epoch
        self._progress.update(done, self._max_epochs, f"epoch {done + 1}/{self._max_epochs} ...")

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the figures of the finished epoch."""
        epoch, results = trainer.current_epoch, pl_module.epoch_results
        self._ended = trainer.should_stop or epoch + 1 >= self._max_epochs
        seconds = time.monotonic() - self._started
        for split in ("train", "validation"):
            self._rows.append({"epoch": epoch + 1, "split": split, **results[split], "seconds": round(seconds, 3)})
        self._run.write_table("history.csv", self.table)
        train, validation = results["train"], results["validation"]
        table = self.table[self.table["split"] == "validation"]
        best = table.loc[table["dice"].idxmax()] if table["dice"].notna().any() else table.iloc[-1]
        self._progress.update(
            epoch + 1,
            self._max_epochs,
            f"epoch {epoch + 1}/{self._max_epochs} | loss {train['loss']:.3f} train, {validation['loss']:.3f} "
            f"validation | Dice {train['dice']:.3f} train, {validation['dice']:.3f} validation "
            f"(best {best['dice']:.3f} in epoch {int(best['epoch'])}) | {seconds:.1f} s",
        )


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that a kill in the middle of writing cannot spoil."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Serialise in memory, then write as a whole: torch reports a full disk as something else."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        atomic.write_bytes(Path(path), buffer.getbuffer())


def checkpoints(run: Run) -> list[ModelCheckpoint]:
    """``best`` by validation Dice and ``last``; in this order, so that ``last`` knows of ``best``."""
    common = {"dirpath": run.checkpoints, "save_on_train_epoch_end": True, "enable_version_counter": False}
    return [
        ModelCheckpoint(
            filename="best", monitor="validation_dice", mode="max", save_top_k=1, save_weights_only=True, **common
        ),
        ModelCheckpoint(filename="last", save_top_k=1, **common),
    ]
