"""Train one run with Keras 3: resumed where a checkpoint is, recorded in the run folder."""

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import pandas as pd
import tensorflow as tf

from medseg import atomic
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, outcome, schedules
from medseg.experiments.budget import Budget
from medseg.experiments.history import History, Row, ranked
from medseg.experiments.runs import Run
from medseg.keras import checkpoint
from medseg.keras.augment import parse
from medseg.keras.data import Batches, training_batches, validation_batches
from medseg.keras.losses import build_loss
from medseg.keras.models import BuiltModel
from medseg.keras.steps import Steps, WarmupCosineRestarts
from medseg.tf_shared import device as devices
from medseg.tf_shared import npz, optimisation

#: By which validation figure the two best checkpoints are chosen, and whether more or less of it is better.
BEST: dict[str, tuple[str, Literal["min", "max"]]] = {"best_loss": ("loss", "min"), "best_iou": ("binary_iou", "max")}
SELECTION_RULE = (
    "lowest validation loss at the training resolution; also kept: the highest validation binary IoU (threshold 0.5, "
    "all pixels of the split) and the latest"
)


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.npz``; call it within :func:`runs.training`.

    As published SGD with momentum 0.9 under :class:`WarmupCosineRestarts`; other schedules are those of
    :mod:`medseg.experiments.schedules`, by epoch. ``model`` is built on the device that ``parameters``
    name, those of the training notebook; batch_size is that over all devices.

    The history has epoch, split, loss, dice and iou of the lesion (means over pictures), binary_iou (of the pixels of
    all pictures), learning_rate (of the first step), seconds. A :class:`MedsegError` where there is no validation data,
    memory runs out, a loss is not finite, or a checkpoint cannot be read.
    """
    device = devices.choose(parameters["device"], parameters["precision"], parameters["devices"])
    fit = partial(_fit, run, model.network, dataset, parameters, device)
    return outcome.train(
        run,
        model,
        parameters,
        device,
        npz.read_state,
        fit,
        metric="loss",
        rule=SELECTION_RULE,
        lower=npz.lower_precision,
        selection=_selection,
    )


def _best(rows: list[Row]) -> dict[str, Row]:
    """For each name of ``BEST`` the validation row of its first best epoch."""
    return {name: ranked(rows, *by)[0] for name, by in BEST.items()}


def _selection(rows: list[Row]) -> dict[str, Any]:
    best = _best(rows)
    kept = {name: {"epoch": row["epoch"], "value": row[BEST[name][0]]} for name, row in best.items()}
    return {
        "mode": "min",
        "best_epoch": kept["best_loss"]["epoch"],
        "best_value": kept["best_loss"]["value"],
        "checkpoints": {**kept, "latest": {"epoch": rows[-1]["epoch"], "value": None}},
    }


def _fit(
    run: Run,
    network: keras.Model,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    device: devices.Device,
    state: Mapping[str, Any] | None,
) -> None:
    batch_size, accumulate = outcome.batches(parameters)
    max_epochs, first_epoch = parameters["max_epochs"], state["epoch"] if state else 0
    common = {
        "resolution": parameters["resolution"],
        "batch_size": batch_size,
        "workers": parameters["workers"],
        "replicas": device.count,
    }
    validation = validation_batches(dataset, **common)
    for split in ("train", "validation"):
        number = len(dataset.split(split))
        if number < device.count:
            raise MedsegError(
                f"{dataset.info['name']} has {number} samples in the split {split}, expected {device.count} or more: "
                "one for each device. Prepare it again."
            )
    training = training_batches(
        dataset,
        augmentation=parse(parameters["augmentation"]),
        seed=parameters["seed"],
        first_epoch=first_epoch,
        max_epochs=max_epochs,
        **common,
    )
    schedule = WarmupCosineRestarts(
        math.ceil(training.steps / accumulate),
        peak=parameters["learning_rate"],
        warmup=parameters["warmup"],
        restart_epochs=parameters["restart_epochs"],
        restart_factor=parameters["restart_factor"],
    )
    written, clip = parameters.get("optimizer", "sgd(momentum=0.9)"), parameters.get("gradient_clip", 0.0)
    weights = parameters["cross_entropy_weight"], parameters["dice_weight"]
    by_step = parameters.get("schedule", "cosine") == "cosine"
    steps = Steps(
        network,
        build_loss(*weights),
        schedule if by_step else parameters["learning_rate"],
        optimizer=lambda rate: optimisation.build(written, rate, clip),
        training_loss=build_loss(*weights, parameters.get("label_smoothing", 0.0)),
        accumulate=accumulate,
        half=device.precision == "fp16",
        xla=parameters["compile"],
    )
    if state:
        checkpoint.restore(network, run.checkpoints / npz.LAST, steps.optimizer)
    history = History(run, max_epochs, "binary_iou", Budget.of(parameters, training.steps))
    history.restore(state)
    try:
        _loop(run, history, steps, training, validation, parameters)
    except tf.errors.OpError as error:
        raise (training.failure or validation.failure or error) from None


def _set_rate(steps: Steps, epoch: int, parameters: Mapping[str, Any]) -> None:
    """The rate of an ``epoch`` (from 0) by its number; the published schedule moves by itself, step by step."""
    schedule = parameters.get("schedule", "cosine")
    if schedule == "cosine":
        return
    factor = schedules.factor(
        epoch,
        schedule,
        max_epochs=parameters["max_epochs"],
        restart_epochs=parameters["restart_epochs"],
        warmup_epochs=0 if schedule == "onecycle" else parameters["warmup"],
    )
    steps.set_rate(parameters["learning_rate"] * factor)


def _loop(
    run: Run, history: History, steps: Steps, training: Batches, validation: Batches, parameters: Mapping[str, Any]
) -> None:
    """Train epoch after epoch, with the history and the checkpoints in step, to a limit or until patience is lost."""
    if not history.epoch:
        checkpoint.save_frozen(steps.network, run.checkpoints)
    history.begin()
    batches, of_validation = iter(steps.distributed(training.dataset)), steps.distributed(validation.dataset)
    ended, due = False, checkpoints.Due(parameters)
    while not ended:
        _set_rate(steps, history.epoch, parameters)
        epoch, started, learning_rate = history.epoch + 1, time.monotonic(), steps.learning_rate
        figures = {
            "train": steps.train(batches, training.steps),
            "validation": steps.validate(iter(of_validation), validation.steps),
        }
        seconds = time.monotonic() - started
        for split, measured in figures.items():
            history.add(epoch, split, measured, learning_rate, seconds)
        best = _best(history.rows)
        unimproved = epoch - max(row["epoch"] for row in best.values())
        ended = bool(history.ending()) or 0 < parameters["patience"] <= unimproved
        improved = [checkpoint.FILES[name] for name, row in best.items() if row["epoch"] == epoch]
        alone = [checkpoint.LATEST] if ended and not checkpoints.keeps_last(parameters) else []
        _save_weights(steps.network, run.checkpoints, improved + alone)
        if ended and not alone:
            (run.checkpoints / checkpoint.LATEST).unlink(missing_ok=True)  # of a shorter training, gone on from
        if due.now(improved=bool(improved), ended=ended):
            state = history.state(ended=ended)
            checkpoint.save_last(steps.network, steps.optimizer, state, run.checkpoints / npz.LAST)
            due.written()
        history.write()


def _save_weights(network: keras.Model, folder: Path, names: Sequence[str]) -> None:
    """One file of the weights as they are now, called by all ``names``: it takes its place on the disk once."""
    for name in names[:1]:
        checkpoint.save_weights(network, folder / name)
    for name in names[1:]:
        atomic.link(folder / names[0], folder / name)
