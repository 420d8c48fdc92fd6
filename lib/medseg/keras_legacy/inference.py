"""A trained run as a predictor: pictures in, probabilities at their own size out."""

import tensorflow as tf

from medseg import project
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.keras_legacy.unet import build_model
from medseg.tf_shared.prediction import Predictor, device_of


def load_predictor(run: Run, device: str = "auto", checkpoint: str = "best") -> Predictor:
    """The predictor of a finished run, in the precision it was trained in; on a CPU in fp32.

    It gives for each picture the probability (H, W) of the structure. ``device`` is ``auto``, ``cuda`` or ``cpu``,
    ``checkpoint`` ``best`` or a file of weights. A :class:`MedsegError` where the checkpoint is missing, unreadable, or
    not of the network that the run describes.
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
    return Predictor(
        lambda pictures: network(tf.constant(model.preprocess(pictures))),
        resolution,
        lambda logits: tf.sigmoid(logits[..., 0]),
        parameters.get("tta", ()),
        network=model.network,
        device=chosen,
    )
