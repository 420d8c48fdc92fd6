"""A trained TransUNet as an ONNX graph that takes plain pictures."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from medseg.experiments.runs import Run
from medseg.keras.inference import load_predictor
from medseg.tf_shared import export


def write_onnx(run: Run, path: Path) -> dict[str, Any]:
    """As :func:`medseg.pytorch.export.write_onnx`; raises what :func:`medseg.keras.inference.load_predictor` raises."""
    network = load_predictor(run, "cpu").network
    return export.write_onnx(
        lambda pictures: network(pictures / 255, training=False),
        run.record["parameters"]["resolution"],
        lambda logits: tf.nn.softmax(logits, axis=1),
        path,
    )
