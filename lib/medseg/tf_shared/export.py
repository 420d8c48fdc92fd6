"""A trained network as an ONNX graph that takes plain pictures."""

import contextlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.tf_shared import tf

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
