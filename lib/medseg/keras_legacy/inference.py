"""A trained run as a predictor: pictures in, probabilities at their own size out."""

import tensorflow as tf

from medseg import project
from medseg.evaluation.predictors import StretchedPredictor
from medseg.evaluation.views import views
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.keras_legacy.unet import build_model
from medseg.tf_shared.prediction import TrainedNetwork, check_tta, device_of


def load_predictor(run: Run, device: str = "auto", checkpoint: str = "best") -> StretchedPredictor:
    """The predictor of a finished run: see :func:`trained_network`.

    It gives for each picture the probability (H, W) of the structure.
    """
    parameters = run.record["parameters"]
    asked = parameters.get("tta", ())
    check_tta(asked)
    return StretchedPredictor(trained_network(run, device, checkpoint), parameters["resolution"], views(asked))


def trained_network(run: Run, device: str = "auto", checkpoint: str = "best") -> TrainedNetwork:
    """The network of a finished run, in the precision it was trained in; on a CPU in fp32.

    ``device`` is ``auto``, ``cuda`` or ``cpu``, ``checkpoint`` ``best`` or a file of weights. A :class:`MedsegError`
    where the checkpoint is missing, unreadable, or not of the network that the run describes.
    """
    parameters = run.record["parameters"]
    chosen = device_of(parameters, device)
    model = build_model(parameters["backbone"], chosen)
    path = run.checkpoints / "best.h5" if checkpoint == "best" else project.resolve(checkpoint)
    try:
        model.network.load_weights(path)
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise outcome.unusable(path, error) from error
    resolution = parameters["resolution"]
    # One signature for every number of pictures, so that the graph is traced once.
    network = tf.function(
        lambda batch: model.network(batch, training=False),
        input_signature=[tf.TensorSpec([None, resolution, resolution, 3], tf.float32)],
    )
    return TrainedNetwork(
        lambda pictures: network(tf.constant(model.preprocess(pictures))), tf.sigmoid, model.network, chosen
    )
