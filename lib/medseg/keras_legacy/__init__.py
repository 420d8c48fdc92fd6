"""The only place that imports tf_keras and segmentation_models, which was written for Keras 2 and needs it still.

Both read these switches while they are imported, so they are set here, before any module of this folder can do so.
"""

import os

os.environ["SM_FRAMEWORK"] = "tf.keras"  # of segmentation_models: tensorflow.keras ...
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # ... which is then tf_keras, and not Keras 3
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a machine without a GPU is no error
