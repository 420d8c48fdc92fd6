"""Models that ``medseg export --format keras`` wrote (.keras), as networks that predict, in the room that is open."""

from pathlib import Path
from typing import Any

import numpy as np

from medseg import registry
from medseg.errors import MedsegError
from medseg.project import display
from medseg.tf_shared import device as devices
from medseg.tf_shared import keras, tf
from medseg.tf_shared.prediction import TrainedNetwork


def load(path: Path, facts: dict[str, Any], device: str = "auto") -> TrainedNetwork:
    """The network of a file with these metadata; a :class:`MedsegError` where it is damaged, or the device not there.

    Code in a file (``Lambda`` layers) is refused by Keras.
    """
    chosen = devices.choose(device, "fp32")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MedsegError(f"{display(path)} cannot be read as a model of Keras ({reason}).") from error
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8)]
    logits = tf.function(lambda pictures: model(pictures, training=False)["logits"], input_signature=signature)
    exclusive = registry.find(facts["study"]).label == "class_map"
    activation = tf.nn.softmax if exclusive else tf.sigmoid
    return TrainedNetwork(lambda pictures: logits(np.ascontiguousarray(pictures)), activation, model, chosen)
