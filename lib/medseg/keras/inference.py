"""A trained run as a predictor: pictures in, probabilities of every class at their own size out."""

from collections.abc import Sequence

import tensorflow as tf

from medseg.errors import MedsegError
from medseg.evaluation.predictors import StretchedPredictor
from medseg.evaluation.views import views
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.keras import checkpoint as checkpoints
from medseg.keras.models import build_model
from medseg.tf_shared.prediction import TrainedNetwork, check_tta, device_of


def load_predictor(
    run: Run, device: str = "auto", checkpoint: str = "best_loss", tta: Sequence[str] | None = None
) -> StretchedPredictor:
    """The predictor of a run of one epoch or more: see :func:`trained_network`.

    It gives for each picture the probabilities (C, H, W) of the classes, background first, which add up to 1. ``tta``
    None: the views of the run's parameters.
    """
    parameters = run.record["parameters"]
    asked = parameters.get("tta", ()) if tta is None else tta
    check_tta(asked)
    return StretchedPredictor(trained_network(run, device, checkpoint), parameters["resolution"], views(asked))


def trained_network(run: Run, device: str = "auto", checkpoint: str = "best_loss") -> TrainedNetwork:
    """The network of a run of one epoch or more, in the precision it was trained in; on a CPU in fp32.

    ``device`` is ``auto``, ``cuda`` or ``cpu``; ``checkpoint`` ``best_loss`` (lowest validation loss), ``best_iou``
    (highest validation binary IoU) or ``latest``. A :class:`MedsegError` where the checkpoint is missing, unreadable,
    or not of the network that the run describes.
    """
    if checkpoint not in checkpoints.FILES:
        raise MedsegError(f"There is no checkpoint {checkpoint!r}. Choose one of: {', '.join(checkpoints.FILES)}.")
    parameters = run.record["parameters"]
    names = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum")
    chosen = device_of(parameters, device)
    network = build_model(
        chosen, **{name: parameters[name] for name in names}, num_classes=1 + len(run.record["dataset"]["classes"])
    ).network
    path = checkpoints.file_of(run.checkpoints, checkpoint)
    try:
        checkpoints.restore(network, path)
    except MedsegError as error:
        raise outcome.unusable(path, error.__cause__) from error
    # One signature for every number of pictures, so that the graph is traced once.
    logits = tf.function(
        lambda batch: network(tf.cast(batch, tf.float32) / 255, training=False),
        input_signature=[tf.TensorSpec([None, *network.input_shape[1:]], tf.uint8)],
    )
    return TrainedNetwork(logits, tf.nn.softmax, network, chosen)
