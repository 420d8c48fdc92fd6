"""A network of a few hundred parameters that trains in milliseconds and has all that makes resuming hard."""

import numpy as np
import tf_keras
from tf_keras import layers

from medseg.keras_legacy.network import SegmentationModel
from medseg.keras_legacy.unet import BuiltModel


def tiny_model(seed: int = 0) -> BuiltModel:
    """Two convolutions with batch normalisation and dropout, and a head."""
    tf_keras.utils.set_random_seed(seed)
    pictures = layers.Input((None, None, 3))
    x = pictures
    for _ in range(2):
        x = layers.Conv2D(8, 3, padding="same")(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.8)(x))
        x = layers.Dropout(0.2)(x)
    return BuiltModel(SegmentationModel(pictures, layers.Conv2D(1, 3, padding="same")(x)), "random", normalise)


def normalise(pictures: np.ndarray) -> np.ndarray:
    """uint8 to [-1, 1] float32."""
    return pictures.astype(np.float32) / 127.5 - 1
