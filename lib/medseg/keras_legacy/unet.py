"""The U-Net of segmentation_models over any of its backbones, with the weights that a run asks for."""

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from medseg import downloads
from medseg.errors import MedsegError
from medseg.keras_legacy import torchvision_mobilenet
from medseg.keras_legacy.network import SegmentationModel
from medseg.names import did_you_mean
from medseg.tf_shared import model
from medseg.tf_shared.device import Device

with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it prints a banner, and its formulas hold escapes unknown to Python
    import segmentation_models as sm
    from segmentation_models.models.unet import Unet

BACKBONES = (*sm.get_available_backbone_names(), torchvision_mobilenet.NAME)
STRIDE = 32


@dataclass(frozen=True)
class BuiltModel(model.BuiltModel):
    """A U-Net with the normalisation that its encoder was trained with.

    network: takes normalised float32 pictures (B, H, W, 3), H and W multiples of ``STRIDE``; one channel of logits.
    preprocess: the backbone's own, from uint8 RGB pictures (B, H, W, 3) to what the network takes.
    """

    preprocess: Callable[[np.ndarray], np.ndarray]


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


def encoder_file(backbone: str, weights: str) -> Path | None:
    """The local file of ``weights``, see :func:`build_model`; None for ``none`` and ``imagenet``.

    A :class:`MedsegError` where the backbone is unknown, or ``weights`` is none of these, or there is no such file.
    """
    if backbone not in BACKBONES:
        raise MedsegError(
            f"There is no backbone {backbone!r} in Keras.{did_you_mean(backbone, BACKBONES)} It has "
            f"{', '.join(BACKBONES)}."
        )
    return model.local_file("weights", weights, ("none", "imagenet"), (".h5", ".hdf5"))


def build_model(
    backbone: str, device: Device, *, weights: str = "none", norm_momentum: float = 0.99, seed: int = 0
) -> BuiltModel:
    """A U-Net with one output channel: encoder ``backbone`` (of ``BACKBONES``), decoder of 256-128-64-32-16 channels.

    All backbones are those of segmentation_models, but for :mod:`medseg.keras_legacy.torchvision_mobilenet`. Layers
    compute in the precision of ``device``; ``weights`` of the encoder are ``none`` (random by ``seed``), ``imagenet``,
    or a HDF5 file of the backbone without its classifier, as Keras saves it; a relative path is meant from the project
    root. ``norm_momentum`` is that of the running means of batch normalisation. A :class:`MedsegError` where the
    backbone is unknown, or weights cannot be had or do not fit.
    """
    file, utilities = encoder_file(backbone, weights), _Utilities()
    torchvision = backbone == torchvision_mobilenet.NAME
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(device.policy)
    try:
        tf_keras.utils.set_random_seed(seed)
        # Not sm.Unet, which would put the utilities of Keras back.
        submodules = {"backend": tf_keras.backend, "layers": tf_keras.layers, "models": tf_keras.models}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*input_shape. is undefined.*")  # true of every U-Net here
            unet = Unet(
                torchvision_mobilenet.LAYERS_OF if torchvision else backbone,
                input_shape=(None, None, 3),
                encoder_weights=None if weights == "none" or (torchvision and not file) else str(file or weights),
                activation="linear",
                utils=utilities,
                **submodules,
            )
        logits = tf_keras.layers.Activation("linear", dtype="float32", name="logits")(unet.output)
        network = SegmentationModel(unet.inputs, logits)
    except Exception as error:  # a missing or unfitting file fails in many ways, each with an exception of its own
        if weights == "none":
            raise
        raise model.refusal(file, repr(backbone), error, "weights") from error
    finally:
        tf_keras.mixed_precision.set_global_policy(before)
    for layer in network.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = norm_momentum
    if torchvision:
        torchvision_mobilenet.adapt(network)
    label = "random"
    if torchvision and weights == "imagenet":
        label = torchvision_mobilenet.load_imagenet(network)
    elif weights != "none":
        origin = "file" if file else "imagenet (segmentation_models),"
        label = f"{origin} {downloads.named(file or utilities.downloaded)}"
    return BuiltModel(network, label, preprocessing(backbone))


def preprocessing(backbone: str) -> Callable[[np.ndarray], np.ndarray]:
    """The normalisation that ``backbone`` was trained with, of uint8 RGB pictures (B, H, W, 3), to float32."""
    own = sm.get_preprocessing(torchvision_mobilenet.SEEN_AS if backbone == torchvision_mobilenet.NAME else backbone)
    return lambda pictures: np.ascontiguousarray(own(pictures.astype(np.float32)), dtype=np.float32)
