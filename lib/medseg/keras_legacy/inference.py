"""A trained run as a predictor: pictures in, probabilities at their own size out."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from medseg import project
from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.keras_legacy import device as devices
from medseg.keras_legacy.unet import BuiltModel, build_model


class Predictor:
    """Probabilities of a trained network.

    Args:
        model: network with its trained weights, and its normalisation.
        resolution: side, in pixels, of the square that pictures are resized to.
    """

    def __init__(self, model: BuiltModel, resolution: int) -> None:
        self._preprocess, self._resolution = model.preprocess, resolution
        # One signature for every number of pictures, so that the graph is traced once.
        signature = [tf.TensorSpec([None, resolution, resolution, 3], tf.float32)]
        self._logits = tf.function(lambda batch: model.network(batch, training=False), input_signature=signature)

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Probability maps of ``pictures``.

        Args:
            pictures: each (H, W, 3) uint8 RGB; sizes may differ.

        Returns:
            For each picture (H, W) float32 in [0, 1] at its own size: the logits are brought there before the sigmoid.
        """
        small = np.stack([resize_image(picture, self._resolution) for picture in pictures])
        logits = self._logits(tf.constant(self._preprocess(small)))
        return [
            tf.sigmoid(resize_logits(one, picture.shape[:2])).numpy()
            for one, picture in zip(logits[..., 0], pictures, strict=True)
        ]


def resize_logits(logits: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Bilinear interpolation of (h, w) to ``size`` (H, W), float32; the centre of pixel i lies at i + 1/2.

    The same numbers as PyTorch's ``interpolate`` with ``align_corners=False``.
    """
    return tf.image.resize(logits[None, ..., None], size, method="bilinear", antialias=False)[0, ..., 0]


def load_predictor(run: Run, device: str = "auto") -> Predictor:
    """The predictor of a finished run: its best checkpoint, in the precision it was trained in; on a CPU in fp32.

    Raises:
        MedsegError: the checkpoint is missing, unreadable, or not of the network that the run describes.
    """
    parameters = run.record["parameters"]
    chosen = devices.choose(device)
    if chosen.kind == "cuda":
        chosen = devices.choose(device, parameters["precision"])
    model = build_model(parameters["backbone"], chosen)
    path = run.checkpoints / "best.h5"
    try:
        model.network.load_weights(path)
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise MedsegError(
            f"{project.display(path)} cannot be used ({str(error).splitlines()[0]}). Train the run again: delete its "
            "folder and repeat the sweep."
        ) from error
    return Predictor(model, parameters["resolution"])
