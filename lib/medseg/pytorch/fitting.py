"""Fit a task with Lightning: resumed where a checkpoint is, recorded in the run folder; the same for all studies."""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from medseg.errors import MedsegError
from medseg.experiments import outcome
from medseg.experiments.history import History, ranked
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.callbacks import AtomicCheckpointIO, Bookkeeping, Checkpoints, file_of
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.task import SegmentationTask

SELECTION_RULE = "highest mean validation Dice at the training resolution, threshold 0.5"


@dataclass(frozen=True)
class Work:
    """What is fitted, on what, and on what it is judged."""

    task: SegmentationTask
    training: DataLoader
    validation: DataLoader


def fit(
    run: Run,
    model: BuiltModel,
    parameters: Mapping[str, Any],
    prepare: Callable[[int], Work],
    *,
    rule: str = SELECTION_RULE,
    keep: int = 1,
) -> pd.DataFrame:
    """Train, or go on from ``checkpoints/last.ckpt``; call it within :func:`runs.training`.

    Args:
        model: that is trained.
        parameters: resolution, batch_size, accumulate, max_epochs, patience, precision, device, compile and the
            architecture's name; ``validation_interval`` where not every epoch is validated. Patience counts
            validations. The last epoch is always validated.
        prepare: makes the work for a batch size.
        rule: how the checkpoint is chosen, for a person.
        keep: number of checkpoints with the best validation Dice that are kept.

    Returns:
        The history, one row per epoch and split; no row for the validation of an epoch that had none.

    Raises:
        MedsegError: no validation data, out of memory, a loss that is not finite, a checkpoint that cannot be read,
            batches of one where batch normalisation needs more.
    """
    device = devices.choose(parameters["device"], parameters["precision"])
    last = run.checkpoints / "last.ckpt"
    earlier = _history_in(last)
    if earlier is None or not earlier["ended"]:
        _quiet()
        try:
            _fit(run, parameters, device, prepare, last if earlier else None, keep)
        except Exception as error:
            if devices.is_out_of_memory(error):
                raise outcome.out_of_memory(device, parameters) from error
            if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
                raise MedsegError(
                    f"{parameters['architecture']} pools features to a single pixel, in which batch normalisation "
                    "needs two pictures a batch at least. Take batch_size=2 or more, or norm='group'."
                ) from error
            raise
    history = run.history()
    if run.record.get("status") != "finished":
        best = ranked(history.to_dict("records"), "dice")[:keep]
        kept = [{"file": file_of(row["epoch"]), "epoch": row["epoch"], "dice": row["dice"]} for row in best]
        outcome.finish(
            run,
            parameters,
            history,
            device=device,
            model=model,
            metric="dice",
            rule=rule,
            peak_memory_mb=devices.peak_memory_mb(device),
            **({"kept": kept} if keep > 1 else {}),
        )
    return history


def _fit(
    run: Run,
    parameters: Mapping[str, Any],
    device: devices.Device,
    prepare: Callable[[int], Work],
    resume: Path | None,
    keep: int,
) -> None:
    batch_size, accumulate = outcome.batches(parameters)
    work = prepare(batch_size)
    if not len(work.validation):
        raise MedsegError("There are no validation samples to choose a checkpoint on. Prepare the dataset again.")
    task = work.task
    if device.kind == "cuda":
        task = task.to(memory_format=torch.channels_last)
    if parameters["compile"]:
        task.network.compile()
    history = History(run, parameters["max_epochs"], shown="dice")
    trainer = lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device.kind, device.kind),
        devices=1,
        precision=device.lightning_precision,
        max_epochs=parameters["max_epochs"],
        check_val_every_n_epoch=parameters.get("validation_interval", 1),
        accumulate_grad_batches=accumulate,
        callbacks=[
            # At the end of a validation, not of an epoch: an old value must not count again.
            EarlyStopping(
                "validation_dice", mode="max", patience=parameters["patience"], check_on_train_epoch_end=False
            ),
            Bookkeeping(history, parameters["max_epochs"]),
            Checkpoints(run, history, keep),
        ],
        plugins=[AtomicCheckpointIO()],
        default_root_dir=run.folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(task, work.training, work.validation, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:  # Lightning swallows an interrupt; the run must not pass for finished
        raise KeyboardInterrupt


def _history_in(checkpoint: Path) -> dict[str, Any] | None:
    """What the bookkeeping left in a checkpoint; None where there is no checkpoint."""
    if not checkpoint.is_file():
        return None
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return content["callbacks"][Bookkeeping.__qualname__]
    except Exception as error:
        raise MedsegError(
            f"The checkpoint {checkpoint.name} of the run {checkpoint.parent.parent.name} cannot be read ({error}). "
            "Delete the folder checkpoints/ of the run to train it from the start."
        ) from error


def _quiet() -> None:
    """Keep Lightning's tips and hints out of the report; errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for hint in (
        ".*does not have many workers.*",
        ".*number of training batches.*",
        ".*Checkpoint directory.*exists.*",
    ):
        warnings.filterwarnings("ignore", hint)
