"""TensorFlow, and the Keras of the room that is open: 3 in ``medseg.keras``, 2 in ``medseg.keras_legacy``."""

import sys

import tensorflow as tf

if "medseg.keras" in sys.modules:
    import keras
else:
    import tf_keras as keras

__all__ = ["keras", "tf"]

tf.get_logger().setLevel("ERROR")
