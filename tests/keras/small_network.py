"""A network of a few hundred parameters that trains in milliseconds and has all that makes resuming hard."""

import keras
from keras import layers

from medseg.keras.models import BuiltModel
from medseg.tf_shared.device import Device

CPU = Device("cpu", "a processor", "fp32")


def small_model(device: Device = CPU, seed: int = 0) -> BuiltModel:
    """A frozen convolution, one with batch normalisation and dropout, and a head of five classes."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(device.policy)
    keras.utils.set_random_seed(seed)
    with device.scope():
        pictures = layers.Input((32, 32, 3))
        x = layers.Conv2D(4, 3, padding="same", activation="relu", trainable=False, name="frozen")(pictures)
        x = layers.Concatenate(name="both")([x, pictures])
        x = layers.Conv2D(8, 5, padding="same", use_bias=False, name="trained")(x)
        x = layers.Activation("relu", name="active")(layers.BatchNormalization(momentum=0.8, name="norm")(x))
        x = layers.Conv2D(5, 3, padding="same", name="head")(layers.Dropout(0.1, name="dropout")(x))
        network = keras.Model(pictures, layers.Activation("linear", dtype="float32", name="logits")(x))
    keras.config.set_dtype_policy(before)
    return BuiltModel(network, "random")
