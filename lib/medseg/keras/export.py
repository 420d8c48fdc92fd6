"""A trained TransUNet as an ONNX graph that takes plain pictures."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from medseg.experiments.runs import Run
from medseg.keras.inference import trained_network
from medseg.tf_shared import export


def write_onnx(run: Run, path: Path) -> dict[str, Any]:
    """As :func:`medseg.pytorch.export.write_onnx`.

    Raises what :func:`medseg.keras.inference.trained_network` raises.
    """
    network = trained_network(run, "cpu").model
    return export.write_onnx(
        lambda pictures: network(pictures / 255, training=False),
        run.record["parameters"]["resolution"],
        lambda logits: tf.nn.softmax(logits, axis=1),
        path,
    )
