"""ImageNet weights of ResNet50V2, from Keras's own server, its cache, or a local file."""

import contextlib
import hashlib
import io
import os
import ssl
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import keras
from filelock import FileLock

from medseg.errors import MedsegError
from medseg.project import display

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
        raise _refusal(file, error) from error
    ours = {layer.name: layer for layer in network.layers}
    for layer in source.layers:
        if layer.weights and layer.name in ours:
            ours[layer.name].set_weights(layer.get_weights())
    file = file or _cache() / IMAGENET
    return f"{file.name} sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"


def _downloaded() -> Path:
    """The file with ImageNet's weights, checked by Keras's own sum."""
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)  # else Keras would take a folder in /tmp instead
    with FileLock(folder / f".{IMAGENET}.lock"):  # two runs of a sweep want the same file
        if not ((folder / IMAGENET).is_file() or _answers(_SERVER + IMAGENET)):
            raise ConnectionError(f"{_SERVER} does not answer")
        with contextlib.redirect_stdout(io.StringIO()):  # a progress bar of many lines
            hashes = {"file_hash": "fac2f116257151a9d068a22e544a4917"}
            return Path(keras.utils.get_file(IMAGENET, _SERVER + IMAGENET, cache_dir=folder.parent, **hashes))


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5):
            return True
    except HTTPError:
        return True
    except (OSError, HTTPException) as error:
        # A certificate that Python does not trust may be trusted by what downloads.
        return isinstance(getattr(error, "reason", None), ssl.SSLError)


def _refusal(file: Path | None, error: Exception) -> MedsegError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"
    if file:
        return MedsegError(
            f"The weights in {display(file)} do not fit ResNet50V2 ({reason}). Give the weights of ResNet50V2 without "
            "its classifier as Keras saves them, or set resnet_weights to 'none'."
        )
    return MedsegError(
        f"ImageNet weights for ResNet50V2 could not be had ({reason}), nor from the local cache. Connect this machine, "
        "or set resnet_weights to the path of a file with them, or to 'none' to train from random weights."
    )
