"""What happens at the end of each epoch besides training: figures and checkpoints are kept."""

import io
import time
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from medseg import atomic
from medseg.experiments import checkpoints
from medseg.experiments.history import History, ranked
from medseg.experiments.runs import Run
from medseg.pytorch.task import SegmentationTask

LAST = "last.ckpt"


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


def lower_precision(path: Path, precision: str) -> None:
    """Write the kernels of a checkpoint of weights as ``fp16`` or ``bf16``.

    Kernels have two dimensions or more; the rest, and a kernel with a value beyond the range, stays as it is.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in saved["state_dict"].items():
        if value.ndim > 1 and value.dtype == torch.float32 and value.abs().max() <= torch.finfo(kind).max:
            saved["state_dict"][name] = value.to(kind)
    AtomicCheckpointIO().save_checkpoint(saved, path)


class Bookkeeping(Checkpoint):
    """Keeps the history in step with the checkpoints, in which it travels, and ends the training at a limit.

    ``best.ckpt`` is by validation Dice, ``last.ckpt`` to go on from; with ``keep`` above 1 the best so many epochs are
    called by :func:`file_of`, one of them being ``best.ckpt`` under a second name. ``due`` says when ``last.ckpt`` is
    written. What is best follows from the
    history: after a kill the same epochs are kept as without. It is a ``Checkpoint`` to Lightning because only those
    are called after the task has closed its epoch.
    """

    def __init__(self, run: Run, history: History, keep: int, due: checkpoints.Due) -> None:
        self._folder, self._history, self._keep, self._ended = run.checkpoints, history, keep, False
        self._due = due

    def state_dict(self) -> dict[str, Any]:
        return self._history.state(ended=self._ended)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._history.restore(state_dict)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            self._history.begin()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._started = time.monotonic()
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        spent = time.monotonic() - self._started
        if trainer.is_last_batch and self._is_ending(trainer, trainer.current_epoch + 1, spent):
            trainer.check_val_every_n_epoch = 1  # the last epoch is validated whatever the interval

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        epoch, results = trainer.current_epoch + 1, cast(SegmentationTask, pl_module).epoch_results
        seconds = time.monotonic() - self._started
        for split in ("train", "validation"):
            if split in results:
                self._history.add(epoch, split, results[split], self._learning_rate, seconds)
        # Minutes that are over between the last batch and here leave no validation: one more epoch.
        if "validation" in results and self._is_ending(trainer):
            trainer.should_stop = True
        self._ended = trainer.should_stop
        if trainer.is_global_zero:
            self._history.write()
        self._save(trainer, epoch)

    def _is_ending(self, trainer: lightning.Trainer, *at: Any) -> bool:
        """Whether a limit is reached; of several processes, whose clocks differ, the first one decides."""
        return trainer.strategy.broadcast(bool(self._history.ending(*at)))

    def _save(self, trainer: lightning.Trainer, epoch: int) -> None:
        best = [row["epoch"] for row in ranked(self._history.rows, "dice")[: self._keep]]
        if best[:1] == [epoch]:
            trainer.save_checkpoint(self._folder / "best.ckpt", weights_only=True)
            if self._keep > 1 and trainer.is_global_zero:
                atomic.link(self._folder / "best.ckpt", self._folder / file_of(epoch))
        elif epoch in best:
            trainer.save_checkpoint(self._folder / file_of(epoch), weights_only=True)
        # Of several processes, whose clocks differ, the first one decides.
        if not trainer.strategy.broadcast(self._due.now(improved=epoch in best, ended=self._ended)):
            return
        trainer.save_checkpoint(self._folder / LAST)
        self._due.written()
        if not trainer.is_global_zero:
            return
        for file in self._folder.glob("epoch-*.ckpt"):  # only now: a kill before would go on from where it was needed
            if file.name not in map(file_of, best):
                file.unlink()
