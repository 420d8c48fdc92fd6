"""The convolutional half of the hybrid encoder: what it sees at 1/2, 1/4, 1/8 and 1/16 of the picture's size."""

from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

#: Layers of ResNet50V2 at 1/16, where the transformer begins, and at 1/8, 1/4 and 1/2, which the decoder sees again.
TAPS = ("conv4_block6_preact_relu", "conv3_block4_preact_relu", "conv2_block3_preact_relu", "conv1_conv")

Pyramid = tuple[KerasTensor, list[KerasTensor]]


def resnet50v2(pictures: KerasTensor) -> Pyramid:
    """ResNet50V2 of ``keras.applications`` (He et al. 2016, arXiv 1603.05027) up to ``conv4_block6_preact_relu``.

    Args:
        pictures: (B, H, W, 3) in [-1, 1], for which its ImageNet weights were made; H and W multiples of 16.

    Returns:
        The map (B, H/16, W/16, 1024), and those at 1/8, 1/4 and 1/2 of 512, 256 and 64 channels.
    """
    whole = keras.applications.ResNet50V2(include_top=False, weights=None, input_tensor=pictures)
    deepest, *skips = (whole.get_layer(name).output for name in TAPS)
    return deepest, skips


def small_resnet(
    pictures: KerasTensor, channels: Sequence[int] = (16, 32, 64, 128), norm_momentum: float = 0.9
) -> Pyramid:
    """The same shape with one block per stage, for a CPU.

    Args:
        pictures: (B, H, W, 3) in [-1, 1]; H and W multiples of 16.
        channels: at 1/2, 1/4, 1/8 and 1/16 of the picture's size.
        norm_momentum: of the running means of batch normalisation.

    Returns:
        The map at 1/16, and those at 1/8, 1/4 and 1/2.
    """
    stem = layers.Conv2D(channels[0], 7, strides=2, padding="same", name="conv1_conv")(pictures)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1_pool")(stem)
    maps = [stem]
    for stage, width in enumerate(channels[1:], 2):
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
