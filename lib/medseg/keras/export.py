"""A trained TransUNet as a file that takes plain pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from medseg.experiments.runs import Run
from medseg.keras.inference import trained_network
from medseg.tf_shared import export


def write_onnx(run: Run, path: Path) -> dict[str, Any]:
    """As :func:`medseg.pytorch.export.write_onnx`, for pictures of the training resolution.

    Raises what :func:`medseg.keras.inference.trained_network` raises.
    """
    network = trained_network(run, "cpu").model
    return export.write_onnx(
        lambda pictures: network(pictures / 255, training=False),
        run.record["parameters"]["resolution"],
        lambda logits: tf.nn.softmax(logits, axis=1),
        path,
    )


def write_own(run: Run, path: Path, describe: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """As :func:`write_onnx`, a model of Keras 3; see :func:`medseg.tf_shared.export.write_own`."""
    side = run.record["parameters"]["resolution"]
    return export.write_own(
        trained_network(run, "cpu").model,
        side,
        keras.layers.Rescaling(1 / 255, name="scaled"),
        "softmax",
        path,
        describe,
        {"multiple": side, "least": side, "any_size": False},
    )
