"""What happens at the end of each epoch besides training: history, progress, checkpoints."""

import io
import os
import time
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint
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
        """Start the clock. The last epoch is validated whatever the interval."""
        self._started = time.monotonic()
        if trainer.current_epoch + 1 >= self._max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the figures of the finished epoch."""
        epoch, results = trainer.current_epoch, pl_module.epoch_results
        self._ended = trainer.should_stop or epoch + 1 >= self._max_epochs
        seconds = time.monotonic() - self._started
        for split in ("train", "validation"):
            if split in results:
                self._rows.append({"epoch": epoch + 1, "split": split, **results[split], "seconds": round(seconds, 3)})
        self._run.write_table("history.csv", self.table)
        text = f"loss {results['train']['loss']:.3f} train"
        scores = f"Dice {results['train']['dice']:.3f} train"
        if "validation" in results:
            text += f", {results['validation']['loss']:.3f} validation"
            scores += f", {results['validation']['dice']:.3f} validation"
        for best in best_epochs(self.table, 1).itertuples():
            scores += f" (best {best.dice:.3f} in epoch {best.epoch})"
        done = f"epoch {epoch + 1}/{self._max_epochs}"
        self._progress.update(epoch + 1, self._max_epochs, f"{done} | {text} | {scores} | {seconds:.1f} s")


def best_epochs(history: pd.DataFrame, count: int) -> pd.DataFrame:
    """The ``count`` validated epochs with the highest Dice, best first; the earlier of two that are equal.

    An epoch without any Dice (nothing was scored) comes behind all others.
    """
    validated = history[history["split"] == "validation"]
    return validated.sort_values("dice", ascending=False, kind="stable", na_position="last").head(count)


def file_of(epoch: int) -> str:
    """Name of the checkpoint of an epoch (from 1) that is kept beside ``best.ckpt``."""
    return f"epoch-{epoch:04d}.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that a kill in the middle of writing cannot spoil."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Serialise in memory, then write as a whole: torch reports a full disk as something else."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        atomic.write_bytes(Path(path), buffer.getbuffer())


class Checkpoints(Checkpoint):
    """``best.ckpt`` by validation Dice, ``last.ckpt`` to go on from, and with ``keep`` above 1 the best so many epochs.

    The latter are called by their epoch, see :func:`file_of`; one of them is ``best.ckpt`` under a second name. What
    is best follows from the history, which travels in ``last.ckpt``: after a kill the same epochs are kept as without.

    Args:
        history: callback that stands before this one.
        keep: how many checkpoints with the best validation Dice are kept.
    """

    def __init__(self, run: Run, history: History, keep: int) -> None:
        self._folder, self._history, self._keep = run.checkpoints, history, keep

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write what has to be kept, then remove what has not."""
        best = [int(epoch) for epoch in best_epochs(self._history.table, self._keep)["epoch"]]
        epoch = trainer.current_epoch + 1
        if best[:1] == [epoch]:
            trainer.save_checkpoint(self._folder / "best.ckpt", weights_only=True)
            if self._keep > 1:
                _link(self._folder / "best.ckpt", self._folder / file_of(epoch))
        elif epoch in best:
            trainer.save_checkpoint(self._folder / file_of(epoch), weights_only=True)
        trainer.save_checkpoint(self._folder / "last.ckpt")
        for file in self._folder.glob("epoch-*.ckpt"):  # only now: a kill before would go on from where it was needed
            if file.name not in map(file_of, best):
                file.unlink()


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy where the disk cannot do that."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        atomic.write_bytes(temporary, source.read_bytes())
    temporary.replace(target)
