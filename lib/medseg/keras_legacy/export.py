"""A trained U-Net as a file that takes plain pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.keras_legacy.inference import trained_network
from medseg.keras_legacy.unet import STRIDE, preprocessing
from medseg.tf_shared import export


def write_onnx(run: Run, path: Path) -> dict[str, Any]:
    """As :func:`medseg.pytorch.export.write_onnx`, for pictures of the training resolution.

    Raises what :func:`medseg.keras_legacy.inference.trained_network` raises.
    """
    network = trained_network(run, "cpu").model
    parameters = run.record["parameters"]
    matrix, offset = affine(preprocessing(parameters["backbone"]))
    return export.write_onnx(
        lambda pictures: network(tf.einsum("bhwc,cd->bhwd", pictures, matrix) + offset, training=False),
        parameters["resolution"],
        tf.sigmoid,
        path,
    )


def write_own(run: Run, path: Path, describe: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """As :func:`write_onnx`, a model of Keras 2 for any size; see :func:`medseg.tf_shared.export.write_own`."""
    matrix, offset = affine(preprocessing(run.record["parameters"]["backbone"]))
    normalised = tf_keras.layers.Conv2D(3, 1, name="normalised")

    def shown(pictures: Any) -> Any:
        seen = normalised(tf_keras.layers.Rescaling(1.0, name="as_numbers")(pictures))
        normalised.set_weights([matrix[None, None], offset])
        return seen

    sizes = {"multiple": STRIDE, "least": STRIDE, "any_size": True}
    return export.write_own(trained_network(run, "cpu").model, None, shown, "sigmoid", path, describe, sizes)


def affine(preprocess: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A backbone's preprocessing as a matrix (3, 3) and an offset (3,) float32: each is ``rgb @ matrix + offset``.

    All of segmentation_models exchange channels, scale or shift them; a :class:`MedsegError` for one that does more.
    """
    corners = np.zeros((4, 1, 1, 3), np.uint8)
    corners[[1, 2, 3], 0, 0, [0, 1, 2]] = 255
    seen = preprocess(corners).reshape(4, 3).astype(np.float64)
    matrix, offset = (seen[1:] - seen[0]) / 255, seen[0]
    pictures = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    if not np.allclose(pictures @ matrix + offset, preprocess(pictures), atol=1e-3):
        raise MedsegError("The normalisation of this backbone is no linear one, so that it cannot be exported.")
    return matrix.astype(np.float32), offset.astype(np.float32)
