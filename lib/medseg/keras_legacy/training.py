"""Train one run with Keras: resumed where a checkpoint is, recorded in the run folder; losses by name.

Losses, for one class, take truth (B, H, W, 1) of {0, 1} in any type and float logits of the same shape.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import tensorflow as tf
import tf_keras

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, outcome
from medseg.experiments.budget import Budget
from medseg.experiments.history import History
from medseg.experiments.runs import Run
from medseg.experiments.schedules import BY_EPOCH
from medseg.keras_legacy.callbacks import (
    Bookkeeping,
    LearningRate,
    ReduceLROnPlateau,
    ValidationPictures,
    lower_precision,
    restore,
)
from medseg.keras_legacy.data import TrainingBatches, ValidationBatches, feed
from medseg.keras_legacy.unet import BuiltModel
from medseg.tf_shared import device as devices
from medseg.tf_shared import npz, optimisation
from medseg.tf_shared.measures import MeanOverPictures

SELECTION_RULE = "highest mean validation IoU at the training resolution, threshold 0.5"
PLATEAU = {"factor": 0.5, "patience": 5}
SMOOTHING = 1e-5


def bce(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, mean over all pixels; from logits, so that it neither clips nor overflows."""
    truth, logits = tf.cast(truth, tf.float32), tf.cast(logits, tf.float32)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))


def dice(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with p = sigmoid(logits), sums over the whole batch, s = 1e-5.

    It is that of segmentation_models: the PyTorch half takes the sums image by image instead.
    """
    truth, probability = tf.cast(truth, tf.float32), tf.sigmoid(tf.cast(logits, tf.float32))
    overlap, total = tf.reduce_sum(probability * truth), tf.reduce_sum(probability) + tf.reduce_sum(truth)
    return 1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING)


def bce_dice(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The sum of the two; segmentation_models calls it ``bce_dice_loss``."""
    return bce(truth, logits) + dice(truth, logits)


LOSSES = {"bce+dice": bce_dice, "dice": dice, "bce": bce}
SCHEDULES = ("plateau", *BY_EPOCH)


def masks(truth: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the structure is and where it is predicted, float32 (B, H, W) of {0, 1}; threshold 0.5."""
    # sigmoid(x) > 0.5 is x > 0
    return tf.cast(truth[..., 0] > 0, tf.float32), tf.cast(logits[..., 0] > 0, tf.float32)


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.npz``; call it within :func:`runs.training`.

    With the schedule ``plateau`` the rate is halved when the validation loss has not fallen for 5 epochs; others are
    those of :mod:`medseg.experiments.schedules`. Training stops when validation IoU has not risen for ``patience``
    epochs. ``parameters`` are those of the training notebook. A :class:`MedsegError` where there is no validation data,
    memory runs out, a loss is not finite, or a checkpoint cannot be read.
    """
    device = devices.choose(parameters["device"], parameters["precision"])
    fit = partial(_fit, run, model, dataset, parameters)
    return outcome.train(
        run, model, parameters, device, npz.read_state, fit, metric="iou", rule=SELECTION_RULE, lower=lower_precision
    )


def _fit(
    run: Run,
    model: BuiltModel,
    dataset: PreparedDataset,
    parameters: Mapping[str, Any],
    state: Mapping[str, Any] | None,
) -> None:
    batch_size, accumulate = outcome.batches(parameters)
    common = {"resolution": parameters["resolution"], "batch_size": batch_size, "workers": parameters["workers"]}
    validation = ValidationBatches(dataset, model.preprocess, **common)
    if not len(validation):
        raise MedsegError(f"{dataset.info['name']} has no validation samples to choose a checkpoint on. Prepare again.")
    training = TrainingBatches(
        dataset, model.preprocess, augmentation=parameters["augmentation"], seed=parameters["seed"], **common
    )
    network = model.network
    optimizer = optimisation.build(
        parameters.get("optimizer", "adam"),
        parameters["learning_rate"],
        parameters.get("gradient_clip", 0.0),
        jit_compile=parameters["compile"],
    )
    compile_network(network, parameters["loss"], optimizer, xla=parameters["compile"])
    network.label_smoothing = parameters.get("label_smoothing", 0.0)
    network.accumulate(accumulate, len(training))
    if state:
        restore(network, run.checkpoints / npz.LAST)
    adaptive = [tf_keras.callbacks.EarlyStopping("val_iou", mode="max", patience=parameters["patience"])]
    if parameters["schedule"] == "plateau":
        adaptive.append(ReduceLROnPlateau("val_loss", begin=parameters.get("warmup_epochs", 0), **PLATEAU))
    history = History(run, parameters["max_epochs"], "iou", Budget.of(parameters, len(training)))
    history.restore(state)
    feed(
        parameters["feeding"],
        network,
        training,
        validation,
        [
            *adaptive,
            LearningRate(parameters),
            ValidationPictures(run, dataset, model.preprocess, parameters["resolution"]),
            Bookkeeping(run, history, parameters["seed"], adaptive, state, checkpoints.Due(parameters)),
        ],
        first_epoch=state["epoch"] if state else 0,
        max_epochs=parameters["max_epochs"],
    )


def compile_network(
    network: tf_keras.Model, loss: str, optimizer: tf_keras.optimizers.Optimizer, *, xla: bool = False
) -> None:
    """Give ``network`` its loss (a name of ``LOSSES``), an optimizer, and the measures dice and iou."""
    network.compile(
        optimizer,
        loss=LOSSES[loss],
        metrics=[MeanOverPictures(name, masks) for name in ("dice", "iou")],
        jit_compile=xla,
    )
