"""The cascaded upsampler of TransUNet (Chen et al. 2021, arXiv 2102.04306, section 3.2)."""

from collections.abc import Sequence

from keras import KerasTensor, layers


def cascaded_decoder(
    features: KerasTensor,
    skips: Sequence[KerasTensor],
    *,
    bottleneck: int,
    channels: Sequence[int],
    head: int,
    norm_momentum: float,
) -> KerasTensor:
    """A 3x3 convolution, then steps that double the size, take in an encoder's map and convolve twice, then a head.

    Every convolution but the head's is followed by batch normalisation and ReLU and has no bias of its own.

    Args:
        features: (B, h, w, C) of the encoder.
        skips: maps of the encoder at 2h, 4h ...; as many of the first steps as there are maps take one in.
        bottleneck: channels of the first convolution.
        channels: of each step.
        head: channels of the last convolution, which has a bias and no normalisation.
        norm_momentum: of the running means of batch normalisation.

    Returns:
        (B, 2^s h, 2^s w, head) for s steps.
    """
    x = _convolved(features, bottleneck, norm_momentum, "decoder_0")
    for step, width in enumerate(channels, 1):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"decoder_{step}_upsampled")(x)
        if step <= len(skips):
            x = layers.Concatenate(name=f"decoder_{step}_joined")([x, skips[step - 1]])
        for number in (1, 2):
            x = _convolved(x, width, norm_momentum, f"decoder_{step}_{number}")
    return layers.Conv2D(head, 3, padding="same", name="decoder_head")(x)


def _convolved(x: KerasTensor, width: int, norm_momentum: float, name: str) -> KerasTensor:
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
