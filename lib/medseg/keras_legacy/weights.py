"""Where an encoder's weights come from: ImageNet, a file, or chance; never chance without being asked."""

from pathlib import Path
from typing import Any

import tf_keras

from medseg import downloads
from medseg.errors import MedsegError
from medseg.tf_shared.weights import local_file, refusal


class Source:
    """What a notebook's ``weights`` stands for.

    Args:
        weights: ``none``, ``imagenet``, or a HDF5 file of the backbone without its classifier, as Keras saves it. A
            relative path is meant from the project root.
        backbone: the backbone that asks, for messages.

    Attributes:
        utilities: stands in for ``tf_keras.utils`` while the backbone is built.

    Raises:
        MedsegError: it is none of these, or there is no such file.
    """

    def __init__(self, weights: str, backbone: str) -> None:
        self._weights, self._backbone = weights, backbone
        self._file = local_file("weights", weights, ("none", "imagenet"), (".h5", ".hdf5"))
        self.utilities = _Utilities()

    @property
    def for_keras(self) -> str | None:
        """The value that segmentation_models takes for ``encoder_weights``."""
        return str(self._file) if self._file else None if self._weights == "none" else self._weights

    @property
    def label(self) -> str:
        """What the built backbone was loaded with, for the record of a run."""
        if self._weights == "none":
            return "random"
        file = self._file or self.utilities.downloaded
        origin = "file" if self._file else "imagenet (segmentation_models),"
        return f"{origin} {downloads.named(file)}"

    def refusal(self, error: Exception) -> MedsegError:
        """What to tell a person when the backbone could not be built with these weights."""
        return refusal(self._file, repr(self._backbone), error, "weights")


class _Utilities:
    """``tf_keras.utils`` with downloads that are silent, and that fail within seconds where nobody answers."""

    downloaded: Path

    def __getattr__(self, name: str) -> Any:
        return getattr(tf_keras.utils, name)

    def get_file(self, fname: str, origin: str, cache_subdir: str = "models", **hashes: Any) -> str:
        """As that of Keras: from the cache if the file is there and whole, else from ``origin``."""
        path = Path.home() / ".keras" / cache_subdir / fname
        self.downloaded = downloads.fetched_once(
            path, origin, lambda: tf_keras.utils.get_file(fname, origin, cache_subdir=cache_subdir, **hashes)
        )
        return str(self.downloaded)
