"""A TransUNet with the weights that a run asks for, on the device that it computes on."""

from pathlib import Path

import keras

from medseg.errors import MedsegError
from medseg.keras import resnet, vit
from medseg.keras.transunet import build_transunet
from medseg.tf_shared.device import Device
from medseg.tf_shared.model import BuiltModel, local_file


def build_model(
    device: Device,
    *,
    size: str = "base",
    variant: str = "hybrid",
    encoder_trainable: bool = False,
    resolution: int = 224,
    num_classes: int = 5,
    resnet_weights: str = "none",
    vit_weights: str = "none",
    norm_momentum: float = 0.99,
    seed: int = 0,
) -> BuiltModel:
    """A TransUNet for pictures (B, R, R, 3), see :func:`medseg.keras.transunet.build_transunet`.

    Args:
        device: whose precision the layers compute in.
        resolution: R, pixels.
        resnet_weights: of the ResNet: ``none`` (random by ``seed``), ``imagenet``, or a HDF5 file of ResNet50V2.
        vit_weights: of the transformer: ``none`` (random by ``seed``), or one of Google's ``.npz`` files.

    Raises:
        MedsegError: a name that there is not, or weights that cannot be had or do not fit.
    """
    resnet_file, vit_file = weight_files(size, variant, resnet_weights, vit_weights)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(device.policy)
    try:
        keras.utils.set_random_seed(seed)
        with device.scope():
            network = build_transunet(
                (resolution, resolution, 3),
                num_classes,
                encoder_trainable,
                size=size,
                variant=variant,
                norm_momentum=norm_momentum,
            )
    finally:
        keras.config.set_dtype_policy(before)
    loaded = []
    if resnet_weights != "none":
        origin = "imagenet" if resnet_file is None else "file"
        loaded.append(f"ResNet50V2: {origin} {resnet.load(network, resnet_file)}")
    if vit_file:
        loaded.append(f"ViT: file {vit.load(network, vit_file)}")
    return BuiltModel(network, "; ".join(loaded) or "random")


def weight_files(size: str, variant: str, resnet_weights: str, vit_weights: str) -> tuple[Path | None, Path | None]:
    """The local files that the two parameters name, None where they name none; a relative path is meant from the root.

    A :class:`MedsegError` where a file is not there or has another ending, or the network has no such half.
    """
    if resnet_weights != "none" and (size, variant) != ("base", "hybrid"):
        raise MedsegError(
            f"resnet_weights is {resnet_weights!r}, but TransUNet of the size {size!r} and the variant {variant!r} has "
            "no ResNet50V2. Set resnet_weights to 'none'."
        )
    return (
        local_file("resnet_weights", resnet_weights, ("none", "imagenet"), (".h5",)),
        local_file("vit_weights", vit_weights, ("none",), (".npz",)),
    )
