"""MobileNetV2 as torchvision has it, in Keras: the same function of a picture, so that torchvision's weights fit.

Keras's own MobileNetV2 has the same layers, but looks at pictures from a pixel aside where it halves them, adds 1e-3
instead of 1e-5 to variances, and expects other colours. Both go back to Sandler et al. 2018, arXiv 1801.04381.
"""

import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np
import tf_keras

from medseg.errors import MedsegError

NAME = "torchvision-mobilenetv2"  #: the backbone's name in parameters ...
LAYERS_OF = "mobilenetv2"  #: ... and that of the backbone of segmentation_models whose layers it has
SEEN_AS = "densenet169"  #: one whose pictures are normalised by ImageNet's mean and deviation, as torchvision does
_EPSILON = 1e-5


def adapt(network: tf_keras.Model) -> None:
    """Make the encoder of ``network``, a U-Net on ``mobilenetv2``, the function that torchvision's is."""
    for layer in _encoder(network):
        if isinstance(layer, tf_keras.layers.ZeroPadding2D):
            layer.padding = ((1, 1), (1, 1))
        elif isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.epsilon = _EPSILON


def load_imagenet(network: tf_keras.Model) -> str:
    """Give the encoder of ``network`` torchvision's weights; a label that says where they were.

    A process with PyTorch reads them: from a folder, a package, its cache or the hub, see ``docs/weights.md``. A
    :class:`MedsegError` where they cannot be had or are others.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npz"
        command = [sys.executable, "-m", "medseg.pytorch.encoder_arrays", "mobilenet_v2", str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise MedsegError(done.stderr.strip().splitlines()[-1])
        with np.load(file) as content:
            arrays = {name: content[name] for name in content}
    _assign([layer for layer in _encoder(network) if layer.weights], arrays)
    return done.stdout.strip()


def _encoder(network: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    return [layer for layer in network.layers if not layer.name.startswith(("decoder_", "final_"))]


def _assign(layers: list[tf_keras.layers.Layer], arrays: dict[str, np.ndarray]) -> None:
    """Both list their layers in the order in which a picture passes them; the classifier is left out."""
    names = [name for name in arrays if not name.startswith("classifier.") and not name.endswith("_tracked")]
    theirs = [list(group) for _, group in groupby(names, key=lambda name: name.rpartition(".")[0])]
    for layer, group in zip(layers, theirs, strict=True):
        values = [arrays[name] for name in group]
        if isinstance(layer, tf_keras.layers.DepthwiseConv2D):
            values = [values[0].transpose(2, 3, 0, 1)]  # (channels, 1, h, w) to (h, w, channels, 1)
        elif isinstance(layer, tf_keras.layers.Conv2D):
            values = [values[0].transpose(2, 3, 1, 0)]  # (out, in, h, w) to (h, w, in, out)
        layer.set_weights(values)  # of a normalisation: scale, shift, mean, variance in both
