"""A trained run as a predictor: pictures in, probabilities of every class at their own size out."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from medseg import project
from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.keras import checkpoint as checkpoints
from medseg.keras import device as devices
from medseg.keras.models import build_model


class Predictor:
    """Probabilities of a trained network.

    Args:
        network: with its trained weights.
    """

    def __init__(self, network: keras.Model) -> None:
        self._resolution = network.input_shape[1]
        # One signature for every number of pictures, so that the graph is traced once.
        signature = [tf.TensorSpec([None, *network.input_shape[1:]], tf.uint8)]
        self._logits = tf.function(
            lambda batch: network(tf.cast(batch, tf.float32) / 255, training=False), input_signature=signature
        )

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Class probabilities of ``pictures``.

        Args:
            pictures: each (H, W, 3) uint8 RGB; sizes may differ.

        Returns:
            For each picture (C, H, W) float32 at its own size, background first; they add up to 1 at each pixel. The
            logits are brought to that size bilinearly, then comes the softmax.
        """
        small = np.stack([resize_image(picture, self._resolution) for picture in pictures])
        logits = self._logits(tf.constant(small))
        return [_at_size(one, picture.shape[:2]) for one, picture in zip(logits, pictures, strict=True)]


def _at_size(logits: tf.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Softmax (C, H, W) of logits (h, w, C) after bilinear interpolation; the centre of pixel i lies at i + 1/2."""
    resized = tf.image.resize(logits[None], size, method="bilinear", antialias=False)[0]
    return np.ascontiguousarray(np.moveaxis(tf.nn.softmax(resized).numpy(), -1, 0))


def load_predictor(run: Run, device: str = "auto", checkpoint: str = "best_loss") -> Predictor:
    """The predictor of a run, in the precision it was trained in; on a CPU in fp32.

    Args:
        run: finished, or at least one epoch of it.
        device: ``auto``, ``cuda`` or ``cpu``.
        checkpoint: ``best_loss`` (lowest validation loss), ``best_iou`` (highest validation binary IoU) or ``latest``.

    Raises:
        MedsegError: no such checkpoint, or it is missing, unreadable, or not of the network that the run describes.
    """
    if checkpoint not in checkpoints.FILES:
        raise MedsegError(f"There is no checkpoint {checkpoint!r}. Choose one of: {', '.join(checkpoints.FILES)}.")
    parameters = run.record["parameters"]
    chosen = devices.choose(device)
    if chosen.kind == "cuda":
        chosen = devices.choose(device, parameters["precision"])
    names = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum")
    network = build_model(chosen, **{name: parameters[name] for name in names}, num_classes=num_classes(run)).network
    path = run.checkpoints / checkpoints.FILES[checkpoint]
    try:
        checkpoints.restore(network, path)
    except MedsegError as error:
        raise MedsegError(
            f"{project.display(path)} cannot be used ({error.__cause__}). Train the run again: delete its folder and "
            "repeat the sweep."
        ) from error
    return Predictor(network)


def num_classes(run: Run) -> int:
    """Background and the classes of the data that ``run`` was trained on."""
    return 1 + len(run.record["dataset"]["classes"])
