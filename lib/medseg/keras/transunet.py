"""TransUNet (Chen et al. 2021, arXiv 2102.04306): convolutions, a vision transformer, and a cascaded upsampler."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from medseg.errors import MedsegError
from medseg.keras import resnet, vit
from medseg.tf_shared.model import check_multiple

STRIDE = 16
VARIANTS = ("hybrid", "plain")
#: What is trained even where the encoder is frozen. The final norm of the encoder is: without its 1,536 parameters the
#: published number of trainable ones (7,409,632) would not be met.
_NEVER_FROZEN = ("encoder_norm", "decoder", "classes", "logits")


@dataclass(frozen=True)
class Size:
    """Widths of a network; the first four are those of :func:`vit.encode`, the others the decoder's."""

    hidden: int
    blocks: int
    heads: int
    mlp: int
    bottleneck: int  # of the first convolution
    channels: tuple[int, int, int, int]  # of the steps, each of which doubles the size
    head: int  # of the last convolution, which has a bias and no normalisation


SIZES = {
    "base": Size(768, 12, 12, 3072, 512, (256, 128, 64, 32), 16),  # R50+ViT-B/16 or ViT-B/16, as published
    "tiny": Size(64, 2, 4, 128, 64, (48, 32, 24, 16), 16),  # seconds per epoch on a CPU, for the sample
}


def build_transunet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 5,
    encoder_trainable: bool = False,
    *,
    size: str = "base",
    variant: str = "hybrid",
    norm_momentum: float = 0.99,
    dropout: float = 0.1,
) -> keras.Model:
    """A functional model with random weights, from pictures to logits.

    It takes float32 pictures (B, H, W, 3) in [0, 1], which it brings to the [-1, 1] that ImageNet's ResNet50V2 and
    Google's ViT want, and gives float32 logits (B, H, W, num_classes) whatever the precision of the layers: no softmax.

    Args:
        input_shape: (H, W, 3) in pixels, H and W multiples of 16. The position embedding has one vector for each of
            H/16 x W/16 patches; published weights are resized to that grid while they are loaded.
        num_classes: background and phases.
        encoder_trainable: False freezes the encoder: no weight of it but the final norm's changes, its batch
            normalisation uses and keeps the statistics it came with, and nothing is dropped out.
        size: ``base``, the published widths, or ``tiny``.
        variant: ``hybrid`` (a ResNet before the transformer; the decoder sees three of its maps) or ``plain`` (patches
            of 16 x 16 pixels go straight into the transformer, and there is no map to see).
        norm_momentum: of batch normalisation in the decoder, and in the encoder of the size ``tiny``.
        dropout: in a transformer that is trained.

    Raises:
        MedsegError: a size that is no multiple of 16, or a name that there is not.
    """
    for side in input_shape[:2]:
        check_side(side)
    for name, value, known in (("size", size, SIZES), ("variant", variant, VARIANTS)):
        if value not in known:
            raise MedsegError(f"There is no {name} {value!r} of TransUNet. Choose one of: {', '.join(known)}.")
    widths = SIZES[size]
    pictures = layers.Input(input_shape, name="pictures")
    features = layers.Rescaling(2.0, -1.0, name="normalised")(pictures)
    skips: list[KerasTensor] = []
    if variant == "hybrid" and size == "base":
        features, skips = resnet.resnet50v2(features)
    elif variant == "hybrid":
        features, skips = resnet.small_resnet(features, norm_momentum)
    x = vit.encode(
        features,
        patch=1 if variant == "hybrid" else STRIDE,
        hidden=widths.hidden,
        blocks=widths.blocks,
        heads=widths.heads,
        mlp=widths.mlp,
        dropout=dropout if encoder_trainable else 0.0,
    )
    x = cascaded_decoder(x, skips, widths, norm_momentum)
    x = layers.Conv2D(num_classes, 1, use_bias=False, name="classes")(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    network = keras.Model(pictures, logits, name=f"transunet_{variant}_{size}")
    if not encoder_trainable:
        for layer in network.layers:
            layer.trainable = layer.name.startswith(_NEVER_FROZEN)
    return network


def check_side(side: int) -> None:
    """Refuse a height, width or resolution in pixels that cannot be cut into patches: MedsegError."""
    check_multiple(side, STRIDE, "the side of TransUNet's patches")


def cascaded_decoder(
    features: KerasTensor, skips: Sequence[KerasTensor], widths: Size, norm_momentum: float
) -> KerasTensor:
    """The cascaded upsampler (section 3.2), (B, h, w, C) to (B, 16h, 16w, head).

    A 3x3 convolution, then steps that double the size, take in an encoder's map and convolve twice, then a head.

    Every convolution but the head's is followed by batch normalisation and ReLU and has no bias of its own. ``skips``
    are maps of the encoder at 2h, 4h ...; as many of the first steps as there are maps take one in.
    """
    x = _convolved(features, widths.bottleneck, norm_momentum, "decoder_0")
    for step, width in enumerate(widths.channels, 1):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"decoder_{step}_upsampled")(x)
        if step <= len(skips):
            x = layers.Concatenate(name=f"decoder_{step}_joined")([x, skips[step - 1]])
        for number in (1, 2):
            x = _convolved(x, width, norm_momentum, f"decoder_{step}_{number}")
    return layers.Conv2D(widths.head, 3, padding="same", name="decoder_head")(x)


def _convolved(x: KerasTensor, width: int, norm_momentum: float, name: str) -> KerasTensor:
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
