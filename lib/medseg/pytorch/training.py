"""Train one run with Lightning: resumed where a checkpoint is, recorded in the run folder."""

import logging
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.job import HALVINGS_VARIABLE, OUT_OF_MEMORY
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.callbacks import AtomicCheckpointIO, History, checkpoints
from medseg.pytorch.data import training_loader, validation_loader
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.task import SegmentationTask

SELECTION_RULE = "highest mean validation Dice at the training resolution, threshold 0.5"


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.ckpt``; call it within :func:`runs.training`.

    Args:
        parameters: architecture, backbone, resolution, batch_size, accumulate, max_epochs, learning_rate,
            weight_decay, loss, schedule, patience, augmentation, precision, device, compile, workers, seed.

    Returns:
        The history, one row per epoch and split.

    Raises:
        MedsegError: no validation data, out of memory, a loss that is not finite, a checkpoint that cannot be read.
    """
    device = devices.choose(parameters["device"], parameters["precision"])
    batch_size, accumulate = _batches(parameters)
    last = run.checkpoints / "last.ckpt"
    earlier = _history_in(last)
    if earlier is None or not earlier["ended"]:
        _quiet()
        try:
            _fit(run, model, dataset, parameters, device, batch_size, accumulate, last if earlier else None)
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            raise MedsegError(
                f"{OUT_OF_MEMORY.capitalize()} on {device.name} with batch_size={batch_size} at resolution "
                f"{parameters['resolution']}. Try batch_size={max(1, batch_size // 2)} and "
                f"accumulate={2 * accumulate}, which trains the same."
            ) from error
    history = run.history()
    if run.record.get("status") != "finished":
        run.finish(
            device={"kind": device.kind, "name": device.name, "precision": device.precision},
            model={
                "name": parameters["architecture"],
                "weights": model.weights,
                "parameters_total": model.parameters_total,
                "parameters_trainable": model.parameters_trainable,
            },
            batch={"batch_size": batch_size, "accumulate": accumulate, "halved": batch_size < parameters["batch_size"]},
            selection=_selection(history, parameters["max_epochs"]),
            durations={"train_seconds": round(float(history["seconds"].sum()) / 2, 1)},
            peak_memory_mb=devices.peak_memory_mb(device),
        )
    return history


def _fit(
    run: Run,
    model: BuiltModel,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    device: devices.Device,
    batch_size: int,
    accumulate: int,
    resume: Path | None,
) -> None:
    resolution, workers, seed = parameters["resolution"], parameters["workers"], parameters["seed"]
    validation = validation_loader(dataset, resolution=resolution, batch_size=batch_size, workers=workers)
    if not len(validation):
        raise MedsegError(f"{dataset.info['name']} has no validation samples to choose a checkpoint on. Prepare again.")
    training = training_loader(
        dataset,
        resolution=resolution,
        augmentation=parameters["augmentation"],
        batch_size=batch_size,
        seed=seed,
        workers=workers,
    )
    task = SegmentationTask(
        model,
        build_loss(parameters["loss"]),
        learning_rate=parameters["learning_rate"],
        weight_decay=parameters["weight_decay"],
        schedule=parameters["schedule"],
        seed=seed,
    )
    if device.kind == "cuda":
        task = task.to(memory_format=torch.channels_last)
    if parameters["compile"]:
        task.network.compile()
    trainer = lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device.kind, device.kind),
        devices=1,
        precision=device.lightning_precision,
        max_epochs=parameters["max_epochs"],
        accumulate_grad_batches=accumulate,
        callbacks=[
            EarlyStopping(
                "validation_dice", mode="max", patience=parameters["patience"], check_on_train_epoch_end=True
            ),
            History(run, parameters["max_epochs"]),
            *checkpoints(run),
        ],
        plugins=[AtomicCheckpointIO()],
        default_root_dir=run.folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(task, training, validation, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:  # Lightning swallows an interrupt; the run must not pass for finished
        raise KeyboardInterrupt


def _batches(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Batch size and accumulation, halved and doubled as often as the sweep asks after running out of memory."""
    factor = 2 ** int(os.environ.get(HALVINGS_VARIABLE, "0"))
    return max(1, math.ceil(parameters["batch_size"] / factor)), parameters["accumulate"] * factor


def _history_in(checkpoint: Path) -> dict[str, Any] | None:
    """What the history callback left in a checkpoint; None where there is no checkpoint."""
    if not checkpoint.is_file():
        return None
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return content["callbacks"][History.__qualname__]
    except Exception as error:
        raise MedsegError(
            f"The checkpoint {checkpoint.name} of the run {checkpoint.parent.parent.name} cannot be read ({error}). "
            "Delete the folder checkpoints/ of the run to train it from the start."
        ) from error


def _selection(history: pd.DataFrame, max_epochs: int) -> dict[str, Any]:
    validation = history[history["split"] == "validation"]
    best = validation.loc[validation["dice"].idxmax()]
    trained = int(history["epoch"].max())
    return {
        "rule": SELECTION_RULE,
        "metric": "validation dice",
        "mode": "max",
        "best_epoch": int(best["epoch"]),
        "best_value": float(best["dice"]),
        "epochs_trained": trained,
        "stopped_early": trained < max_epochs,
    }


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
