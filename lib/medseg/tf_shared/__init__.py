"""What both Keras rooms do with TensorFlow, and the Keras of the open one: 3 in medseg.keras, 2 in keras_legacy.

Each room sets switches that TensorFlow and Keras read while they load, and that are settled for the whole process then.
"""

import sys

if len({"medseg.keras", "medseg.keras_legacy"} & set(sys.modules)) != 1:
    raise ImportError(
        "medseg.tf_shared belongs to one of two rooms, whose switches TensorFlow reads while it loads. Import either "
        "medseg.keras or medseg.keras_legacy before it, and never both in one process."
    )

import tensorflow as tf

if "medseg.keras" in sys.modules:
    import keras
else:
    import tf_keras as keras

__all__ = ["keras", "tf"]

tf.get_logger().setLevel("ERROR")
