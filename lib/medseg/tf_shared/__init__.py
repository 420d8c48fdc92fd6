"""What both Keras rooms, ``medseg.keras`` and ``medseg.keras_legacy``, do with TensorFlow alone.

Each room sets switches that TensorFlow and Keras read while they load, and that are settled for the whole process then.
So this folder is to be had in one room, and nowhere else.
"""

import sys

if len({"medseg.keras", "medseg.keras_legacy"} & set(sys.modules)) != 1:
    raise ImportError(
        "medseg.tf_shared belongs to one of two rooms, whose switches TensorFlow reads while it loads. Import either "
        "medseg.keras or medseg.keras_legacy before it, and never both in one process."
    )
