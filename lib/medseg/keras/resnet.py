"""The convolutional half of the hybrid encoder, and its weights from Keras's server, its cache, or a local file."""

import os
from pathlib import Path

import keras
from keras import KerasTensor, layers

from medseg import downloads
from medseg.tf_shared.model import refusal

IMAGENET = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"

#: Layers of ResNet50V2 at 1/16, where the transformer begins, and at 1/8, 1/4 and 1/2, which the decoder sees again.
TAPS = ("conv4_block6_preact_relu", "conv3_block4_preact_relu", "conv2_block3_preact_relu", "conv1_conv")

Pyramid = tuple[KerasTensor, list[KerasTensor]]


def resnet50v2(pictures: KerasTensor) -> Pyramid:
    """ResNet50V2 of ``keras.applications`` (He et al. 2016, arXiv 1603.05027) up to ``conv4_block6_preact_relu``.

    From (B, H, W, 3) in [-1, 1], for which its ImageNet weights were made, H and W multiples of 16, to the map (B,
    H/16, W/16, 1024), and those at 1/8, 1/4 and 1/2 of 512, 256 and 64 channels.
    """
    whole = keras.applications.ResNet50V2(include_top=False, weights=None, input_tensor=pictures)
    deepest, *skips = (whole.get_layer(name).output for name in TAPS)
    return deepest, skips


def small_resnet(pictures: KerasTensor, norm_momentum: float) -> Pyramid:
    """The same shape with one block per stage and 16 to 128 channels, for a CPU."""
    stem = layers.Conv2D(16, 7, strides=2, padding="same", name="conv1_conv")(pictures)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1_pool")(stem)
    maps = [stem]
    for stage, width in enumerate((32, 64, 128), 2):
        x = _block(x, width, 1 if stage == 2 else 2, norm_momentum, f"conv{stage}_block1")
        maps.append(_preactivated(x, norm_momentum, f"conv{stage}_out"))
    *skips, deepest = maps
    return deepest, skips[::-1]


def _block(x: KerasTensor, width: int, stride: int, norm_momentum: float, name: str) -> KerasTensor:
    """A bottleneck whose normalisation and activation come before each convolution (arXiv 1603.05027, figure 1b)."""
    ready = _preactivated(x, norm_momentum, f"{name}_preact")
    shortcut = layers.Conv2D(width, 1, strides=stride, name=f"{name}_0_conv")(ready)
    x = layers.Conv2D(width // 2, 1, use_bias=False, name=f"{name}_1_conv")(ready)
    x = _preactivated(x, norm_momentum, f"{name}_1")
    x = layers.Conv2D(width // 2, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_2_conv")(x)
    x = layers.Conv2D(width, 1, name=f"{name}_3_conv")(_preactivated(x, norm_momentum, f"{name}_2"))
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _preactivated(x: KerasTensor, norm_momentum: float, name: str) -> KerasTensor:
    x = layers.BatchNormalization(momentum=norm_momentum, epsilon=1.001e-5, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def load(network: keras.Model, file: Path | None) -> str:
    """Give the ResNet of a hybrid ``network`` of the size ``base`` its weights; returns the file's name and sha256.

    ``file`` is of a ResNet50V2 without its classifier, as Keras saves it (HDF5); None: ImageNet's, downloaded once. A
    :class:`MedsegError` where they cannot be had, or do not fit.
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
    path, url = _cache() / IMAGENET, _SERVER + IMAGENET
    hashes = {"file_hash": "fac2f116257151a9d068a22e544a4917"}
    return downloads.fetched_once(
        path, url, lambda: keras.utils.get_file(IMAGENET, url, cache_dir=path.parent.parent, **hashes)
    )


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
