"""The only place that imports Keras 3, on TensorFlow.

Keras reads the switch while it is imported, so it is set here, before any module of this folder can do so. Never in one
process with ``medseg.keras_legacy``, whose own switches turn TensorFlow's Keras into the old one.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a machine without a GPU is no error
