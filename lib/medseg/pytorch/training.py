"""Train one run in PyTorch with Lightning, whatever the kind of label: resumed where a checkpoint is, recorded."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, outcome
from medseg.experiments.budget import Budget
from medseg.experiments.history import History, Row, ranked
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch import several_devices
from medseg.pytorch.callbacks import LAST, AtomicCheckpointIO, Bookkeeping, file_of, lower_precision
from medseg.pytorch.data import BinaryItems, Items, OverlappingItems, batches, classes_overlap
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.optimisation import Optimisation, scales
from medseg.pytorch.several_devices import PartOfBatches
from medseg.pytorch.task import OverlappingTask, SegmentationTask

SELECTION_RULE = "highest mean validation Dice at the training resolution, threshold 0.5"
OVERLAPPING_SELECTION_RULE = (
    "highest average validation Dice (mean over cases and classes, empty in truth and prediction left out) at the "
    "training resolution, threshold 0.5"
)
#: What PyTorch says where shared memory is too small for the pictures on their way from one process to another.
_SHARED_MEMORY = ("out of shared memory", "allocate shared memory(shm)", "Bus error", "write to file </torch_")
#: How many checkpoints with the best validation Dice are kept of a network of overlapping classes.
KEPT = 3


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.ckpt``; call it within :func:`runs.training`.

    The last epoch is always validated. With ``keep_last`` the three checkpoints with the best average validation Dice
    are kept of a network of overlapping classes, as ``epoch-NNNN.ckpt``, the best of them also as ``best.ckpt``; the
    record names them under ``selection.kept``.

    Args:
        dataset: with the fold held out that ``parameters`` name, where there are folds.
        parameters: those of the training notebook; patience counts validations. Where they are left out
            validation_interval is 1 epoch, auxiliary_weight 0.005, and the others as in :class:`Optimisation`.

    Returns:
        The history: epoch, split, loss (that of the auxiliary heads included; in training also that of coarser levels),
        dice, iou, for each auxiliary head its loss and accuracy, learning_rate, seconds; no row for the validation of
        an epoch that had none.

    Raises:
        MedsegError: no validation data, a bad augmentation, out of memory, a loss that is not finite, a checkpoint that
            cannot be read, batches of one where batch normalisation needs more.
    """
    device = devices.choose(parameters["device"], parameters["precision"], parameters.get("devices", 1))
    rule, keep = (OVERLAPPING_SELECTION_RULE, KEPT) if classes_overlap(dataset) else (SELECTION_RULE, 1)

    def selection(rows: list[Row]) -> dict[str, Any]:
        best = ranked(rows, "dice")[:keep]
        kept = [{"file": file_of(row["epoch"]), "epoch": row["epoch"], "dice": row["dice"]} for row in best]
        return {"kept": kept} if keep > 1 and checkpoints.keeps_last(parameters) else {}

    fit = partial(_fit, run, model, dataset, parameters, device, keep)
    spread = partial(several_devices.launch, device, fit)
    return outcome.train(
        run,
        model,
        parameters,
        device,
        _read_state,
        fit if device.count == 1 else spread,
        metric="dice",
        rule=rule,
        lower=lower_precision,
        selection=selection,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's tips and hints out of the report; errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for hint in (
            ".*does not have many workers.*",
            ".*number of training batches.*",
            ".*Checkpoint directory.*exists.*",
            # Lightning goes through a batch in a way that PyTorch has deprecated; nothing here can choose another.
            ".*LeafSpec.*",
            # Of gradients in the memory order of channels_last, which several devices add up.
            ".*Grad strides do not match bucket view.*",
        ):
            warnings.filterwarnings("ignore", hint)
        yield


@_quiet()
def _fit(
    run: Run,
    model: BuiltModel,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    device: devices.Device,
    keep: int,
    state: outcome.State | None,
) -> None:
    batch_size, accumulate = outcome.batches(parameters)
    training, validation = _loaders(dataset, parameters, batch_size)
    task = _task(model, dataset, parameters, cast(PartOfBatches, training.batch_sampler).weight)
    if device.kind == "cuda":
        task = task.to(memory_format=torch.channels_last)
    if parameters["compile"]:
        task.network.compile()
    history = History(run, parameters["max_epochs"], "dice", Budget.of(parameters, len(training)))
    trainer = lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device.kind, device.kind),
        deterministic=parameters.get("deterministic", False),
        gradient_clip_val=parameters.get("gradient_clip") or None,
        precision=device.lightning_precision,
        max_epochs=parameters["max_epochs"],
        check_val_every_n_epoch=parameters.get("validation_interval", 1),
        accumulate_grad_batches=accumulate,
        callbacks=[
            # At the end of a validation, not of an epoch: an old value must not count again.
            EarlyStopping(
                "validation_dice", mode="max", patience=parameters["patience"], check_on_train_epoch_end=False
            ),
            Bookkeeping(run, history, keep, checkpoints.Due(parameters)),
        ],
        plugins=[AtomicCheckpointIO()],
        default_root_dir=run.folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **several_devices.trainer_options(device),
    )
    resume = run.checkpoints / LAST if state else None
    try:
        trainer.fit(task, training, validation, ckpt_path=resume, weights_only=True)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise MedsegError(
            f"{parameters['architecture']} pools features to a single pixel, in which batch normalisation "
            "needs two pictures a batch at least. Take batch_size=2 or more, or norm='group'."
        ) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SHARED_MEMORY):
            raise
        raise MedsegError(
            f"The {parameters['workers']} processes that load pictures ran out of shared memory, /dev/shm. Set workers "
            "to fewer or to 0, or raise it: docker run --shm-size=8g."
        ) from error
    finally:
        torch.use_deterministic_algorithms(False)
    if trainer.interrupted:  # Lightning swallows an interrupt; the run must not pass for finished
        raise KeyboardInterrupt


def _task(
    model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any], weight: Callable[[int], float]
) -> SegmentationTask:
    loss, optimisation = build_loss(parameters["loss"]), Optimisation.of(parameters)
    options = {
        "seed": parameters["seed"],
        "label_smoothing": parameters.get("label_smoothing", 0.0),
        "sides": scales(parameters.get("multiscale", ()), parameters["resolution"], model.stride),
        "deep_supervision": parameters.get("deep_supervision", ()),
        "weight": weight,
    }
    if not classes_overlap(dataset):
        return SegmentationTask(model, loss, optimisation, **options)
    options |= {"classes": len(dataset.info["classes"]), "auxiliary_weight": parameters.get("auxiliary_weight", 0.005)}
    return OverlappingTask(model, loss, optimisation, **options)


def _loaders(dataset: PreparedDataset, parameters: Mapping[str, Any], batch_size: int) -> tuple[DataLoader, DataLoader]:
    items: Callable[..., Items]
    if classes_overlap(dataset):
        items = partial(OverlappingItems, dataset, auxiliary=parameters["auxiliary"])
    else:
        items = partial(BinaryItems, dataset)
    seed, resolution, workers = parameters["seed"], parameters["resolution"], parameters["workers"]
    drawn = items("train", resolution=resolution, augmentation=parameters["augmentation"], seed=seed)
    plain = items("validation", resolution=resolution)
    place = several_devices.place()
    for split, number in (("train", len(drawn)), ("validation", len(plain))):
        if number < place[1]:
            raise MedsegError(
                f"{dataset.info['name']} has {number} samples in the split {split}, expected {place[1]} or more: one "
                "for each device, to train on and to choose a checkpoint on. Prepare it again."
            )
    return (
        batches(drawn, batch_size, workers=workers, seed=seed, place=place),
        batches(plain, math.ceil(batch_size / place[1]), workers=workers, place=place),
    )


def _read_state(run: Run) -> dict[str, Any] | None:
    path = run.checkpoints / LAST
    if not path.is_file():
        return None
    with outcome.reading(path):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["callbacks"][Bookkeeping.__qualname__]
