"""ImageNet weights of ResNet50V2, from Keras's own server, its cache, or a local file."""

import os
from pathlib import Path

import keras

from medseg import downloads
from medseg.tf_shared.weights import refusal

IMAGENET = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


def load(network: keras.Model, file: Path | None) -> str:
    """Give the ResNet of a hybrid ``network`` of the size ``base`` its weights; nothing else of it changes.

    Args:
        file: of a ResNet50V2 without its classifier, as Keras saves it (HDF5); None: ImageNet's, downloaded once.

    Returns:
        Name and sha256 of the file, for the record of a run.

    Raises:
        MedsegError: they cannot be had, or do not fit.
    """
    try:
        source = keras.applications.ResNet50V2(include_top=False, weights=str(file or _downloaded()))
    except Exception as error:  # a missing or unfitting file fails in many ways, each with an exception of its own
        raise refusal(file, "ResNet50V2", error, "resnet_weights") from error
    ours = {layer.name: layer for layer in network.layers}
    for layer in source.layers:
        if layer.weights and layer.name in ours:
            ours[layer.name].set_weights(layer.get_weights())
    return downloads.named(file or _cache() / IMAGENET)


def _downloaded() -> Path:
    """The file with ImageNet's weights, checked by Keras's own sum."""
    path, url = _cache() / IMAGENET, _SERVER + IMAGENET
    hashes = {"file_hash": "fac2f116257151a9d068a22e544a4917"}
    return downloads.fetched_once(
        path, url, lambda: keras.utils.get_file(IMAGENET, url, cache_dir=path.parent.parent, **hashes)
    )


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
