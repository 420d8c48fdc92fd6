"""A trained network as a file that takes plain pictures: an ONNX graph, or a model of Keras."""

import contextlib
import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.tf_shared import keras, tf

#: Name of the metadata within a model of Keras, which is a zip archive.
METADATA = "medseg.json"
_OPSET = 18


def write_onnx(
    logits: Callable[[tf.Tensor], tf.Tensor], side: int, activation: Callable[[tf.Tensor], tf.Tensor], path: Path
) -> dict[str, Any]:
    """Write a network to ``path``: what :func:`medseg.pytorch.export.write_onnx` does, for pictures of one size.

    ``logits`` go from pictures (B, side, side, 3) float32 of 0 to 255 to (B, side, side, C), ``activation`` from
    logits (B, C, H, W) to probabilities.
    """
    import tf2onnx

    def whole(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.transpose(tf.cast(logits(tf.cast(pictures, tf.float32)), tf.float32), (0, 3, 1, 2))
        return {"logits": found, "probabilities": activation(found)}

    signature = [tf.TensorSpec([None, side, side, 3], tf.uint8, name="pictures")]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        tf2onnx.convert.from_function(
            tf.function(whole, input_signature=signature),
            input_signature=signature,
            opset=_OPSET,
            output_path=str(path),
        )
    return {"multiple": side, "least": side, "any_size": False}


def write_own(
    network: keras.Model,
    side: int | None,
    shown: Callable[[Any], Any],
    activation: str,
    path: Path,
    describe: Callable[[dict[str, Any]], str],
    sizes: dict[str, Any],
) -> dict[str, Any]:
    """Write a network as a model of Keras (.keras) with what ``describe`` says of ``sizes`` inside; gives ``sizes``.

    It takes pictures (B, H, W, 3) uint8, ``side`` pixels square (None: any multiple), and gives a dictionary of logits
    and probabilities (B, H, W, C) float32. ``shown`` are the layers from pictures to what ``network`` takes,
    ``activation`` is the name of that from logits to probabilities.
    """
    sizes = {**sizes, "keras": keras.__version__.split(".")[0]}
    pictures = keras.layers.Input((side, side, 3), dtype="uint8", name="pictures")
    logits = keras.Model(network.inputs[0], network.outputs[0], name="network")(shown(pictures))
    probabilities = keras.layers.Activation(activation, dtype="float32", name="probabilities")(logits)
    keras.Model(pictures, {"logits": logits, "probabilities": probabilities}, name="medseg").save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(METADATA, describe(sizes))
    return sizes
