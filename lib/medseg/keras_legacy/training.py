"""Train one run with Keras: resumed where a checkpoint is, recorded in the run folder."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import tf_keras

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.keras_legacy import checkpoint
from medseg.keras_legacy.callbacks import Bookkeeping, ValidationPictures
from medseg.keras_legacy.data import TrainingBatches, ValidationBatches
from medseg.keras_legacy.feeding import feed
from medseg.keras_legacy.losses import LOSSES, masks
from medseg.keras_legacy.unet import BuiltModel
from medseg.tf_shared import device as devices
from medseg.tf_shared import npz
from medseg.tf_shared import training as shared
from medseg.tf_shared.measures import MeanOverPictures

SELECTION_RULE = "highest mean validation IoU at the training resolution, threshold 0.5"
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
    return shared.train(
        run,
        model,
        parameters,
        device,
        lambda state: _fit(run, model, dataset, parameters, state),
        metric="iou",
        rule=SELECTION_RULE,
    )


def _fit(
    run: Run,
    model: BuiltModel,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    state: Mapping[str, Any] | None,
) -> None:
    batch_size, accumulate = outcome.batches(parameters)
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
        checkpoint.restore(network, run.checkpoints / npz.LAST)
    adaptive = [tf_keras.callbacks.EarlyStopping("val_iou", mode="max", patience=parameters["patience"])]
    if parameters["schedule"] == "plateau":
        adaptive.append(tf_keras.callbacks.ReduceLROnPlateau("val_loss", **PLATEAU))
    feed(
        parameters["feeding"],
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
        metrics=[MeanOverPictures(name, masks) for name in ("dice", "iou")],
        jit_compile=xla,
    )
