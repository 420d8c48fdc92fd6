"""Train one run with Keras: resumed where a checkpoint is, recorded in the run folder."""

import math
import os
from collections.abc import Mapping
from typing import Any

import pandas as pd
import tf_keras

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.job import HALVINGS_VARIABLE, OUT_OF_MEMORY
from medseg.experiments.runs import Run
from medseg.keras_legacy import checkpoint
from medseg.keras_legacy import device as devices
from medseg.keras_legacy.callbacks import Bookkeeping, ValidationPictures
from medseg.keras_legacy.data import TrainingBatches, ValidationBatches
from medseg.keras_legacy.feeding import FEEDINGS
from medseg.keras_legacy.losses import LOSSES, MeanOverCases
from medseg.keras_legacy.unet import BuiltModel

SELECTION_RULE = "highest mean validation IoU at the training resolution, threshold 0.5"
SCHEDULES = ("plateau", "constant")
PLATEAU = {"factor": 0.5, "patience": 5}


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.npz``; call it within :func:`runs.training`.

    Adam (Kingma and Ba, arXiv 1412.6980); with the schedule ``plateau`` its rate is halved when the validation loss
    has not fallen for 5 epochs. Training stops when validation IoU has not risen for ``patience`` epochs.

    Args:
        parameters: architecture, backbone, resolution, batch_size, accumulate, max_epochs, learning_rate, loss,
            schedule, patience, augmentation, feeding, precision, device, compile, workers, seed.

    Returns:
        The history, one row per epoch and split.

    Raises:
        MedsegError: no validation data, out of memory, a loss that is not finite, a checkpoint that cannot be read.
    """
    device = devices.choose(parameters["device"], parameters["precision"])
    batch_size, accumulate = _batches(parameters)
    state = checkpoint.read_state(run.checkpoints / "last.npz")
    if state is None or not state["ended"]:
        try:
            _feed(run, model, dataset, parameters, batch_size, accumulate, state)
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            raise MedsegError(
                f"{OUT_OF_MEMORY.capitalize()} on {device.name} with batch_size={batch_size} at resolution "
                f"{parameters['resolution']}. Try batch_size={max(1, batch_size // 2)} and "
                f"accumulate={2 * accumulate}, which trains the same but for batch normalisation and the batch's Dice."
            ) from error
        state = checkpoint.read_state(run.checkpoints / "last.npz")
    history = pd.DataFrame(state["rows"])
    if run.record.get("status") != "finished":
        run.write_table("history.csv", history)  # a kill may have come between the checkpoint and the table
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
    return run.history()


def _feed(
    run: Run,
    model: BuiltModel,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    batch_size: int,
    accumulate: int,
    state: dict[str, Any] | None,
) -> None:
    common = {
        "resolution": parameters["resolution"],
        "batch_size": batch_size,
        "workers": parameters["workers"],
    }
    validation = ValidationBatches(dataset, model.preprocess, **common)
    if not len(validation):
        raise MedsegError(f"{dataset.info['name']} has no validation samples to choose a checkpoint on. Prepare again.")
    training = TrainingBatches(
        dataset, model.preprocess, augmentation=parameters["augmentation"], seed=parameters["seed"], **common
    )
    network = model.network
    compile_network(network, parameters["loss"], parameters["learning_rate"], xla=parameters["compile"])
    network.accumulate(accumulate, len(training))
    if state:
        checkpoint.restore(network, run.checkpoints / "last.npz")
    adaptive = [tf_keras.callbacks.EarlyStopping("val_iou", mode="max", patience=parameters["patience"])]
    if parameters["schedule"] == "plateau":
        adaptive.append(tf_keras.callbacks.ReduceLROnPlateau("val_loss", **PLATEAU))
    FEEDINGS[parameters["feeding"]](
        network,
        training,
        validation,
        [
            *adaptive,
            ValidationPictures(run, dataset, model.preprocess, parameters["resolution"]),
            Bookkeeping(run, parameters["seed"], parameters["max_epochs"], adaptive, state),
        ],
        first_epoch=state["epoch"] if state else 0,
        max_epochs=parameters["max_epochs"],
    )


def compile_network(network: tf_keras.Model, loss: str, learning_rate: float, *, xla: bool = False) -> None:
    """Give ``network`` its loss (a name of ``LOSSES``), Adam, and the measures dice and iou."""
    network.compile(
        tf_keras.optimizers.Adam(learning_rate, jit_compile=xla),
        loss=LOSSES[loss],
        metrics=[MeanOverCases("dice"), MeanOverCases("iou")],
        jit_compile=xla,
    )


def _batches(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Batch size and accumulation, halved and doubled as often as the sweep asks after running out of memory."""
    factor = 2 ** int(os.environ.get(HALVINGS_VARIABLE, "0"))
    return max(1, math.ceil(parameters["batch_size"] / factor)), parameters["accumulate"] * factor


def _selection(history: pd.DataFrame, max_epochs: int) -> dict[str, Any]:
    validation = history[history["split"] == "validation"]
    if validation["iou"].isna().all():
        raise MedsegError(
            "No validation frame shows a polyp or was predicted to, so no epoch is better than another. Check the "
            "masks of the split validation."
        )
    best = validation.loc[validation["iou"].idxmax()]
    trained = int(history["epoch"].max())
    return {
        "rule": SELECTION_RULE,
        "metric": "validation iou",
        "mode": "max",
        "best_epoch": int(best["epoch"]),
        "best_value": float(best["iou"]),
        "epochs_trained": trained,
        "stopped_early": trained < max_epochs,
    }
