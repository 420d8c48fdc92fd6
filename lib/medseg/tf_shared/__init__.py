"""What both Keras rooms, ``medseg.keras`` and ``medseg.keras_legacy``, do with TensorFlow alone."""
