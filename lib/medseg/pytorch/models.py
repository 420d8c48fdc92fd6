"""Networks by name: the project's own U-Net, the dilated ResNet U-Net, and everything that smp has."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import segmentation_models_pytorch as smp
import timm
from torch import nn

from medseg.errors import MedsegError
from medseg.names import nearest
from medseg.pytorch import weights as pretrained
from medseg.pytorch.backbones import IMAGENET, Normalisation, PaddedNetwork, normalisation_of
from medseg.pytorch.dilated_unet import BACKBONES, DilatedResNetUNet
from medseg.pytorch.heads import AUXILIARY, NORMS, UPSAMPLINGS, AuxiliaryNetwork, set_upsampling, use_group_norm
from medseg.pytorch.side_outputs import SideOutputs
from medseg.pytorch.unet import WIDTHS, UNet

ARCHITECTURES = ("unet", "dilated-resnet-unet", *(f"smp-{name}" for name in smp.MODEL_ARCHITECTURES_MAPPING))
PARTS = ("residual", "cbam", "aspp", "attention")

# PAN halves its features, at stride 16, three times more; DPT once.
_MINIMUM_SIZES = {"smp-pan": 128}
_FURTHER_STRIDE = {"smp-dpt": 2}


@dataclass(frozen=True)
class BuiltModel:
    """A network and what a record of it needs.

    network: takes normalised float images B x 3 x H x W of any size, gives float32 logits B x num_classes x H x W;
        where it has auxiliary heads it gives (logits, {fact: logit (B,)}) when called with ``auxiliary=True``.
    normalisation: the encoder's own; ImageNet's for the own U-Net, so that every model sees the same images.
    weights: what was really loaded: "random", "imagenet (...)", or "file NAME sha256 ...".
    stride: images are padded to multiples of it, in pixels.
    """

    network: PaddedNetwork
    normalisation: Normalisation
    weights: str
    stride: int

    @property
    def parameters_total(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def parameters_trainable(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)

    @property
    def encoder(self) -> nn.Module | None:
        """The part that pretrained weights are for; None for the own U-Net."""
        return getattr(self.network.network, "encoder", None)


def available_backbones(architecture: str) -> list[str]:
    """Names that `build_model` takes for ``architecture``; timm's are ``tu-NAME`` and may carry a ``.tag``.

    smp's decoders do not work with every encoder: where one does not, `build_model` says why.
    """
    architecture = _known(architecture, ARCHITECTURES, "architecture", "medseg.pytorch.models.ARCHITECTURES")
    if architecture == "unet":
        return ["none"]
    if architecture == "dilated-resnet-unet":
        return list(BACKBONES)
    own = [] if architecture == "smp-dpt" else smp.encoders.get_encoder_names()
    return own + [f"tu-{name}" for name in timm.list_models()]


#: Parameters of a run that decide what :func:`build` makes, beside the weights.
OF_NETWORK = (
    "architecture", "backbone", "parts", "width", "norm", "upsampling", "auxiliary", "deep_supervision", "resolution",
)  # fmt: skip


def build(parameters: Mapping[str, Any], classes: int, *, weights: str | None = None) -> BuiltModel:
    """The network that the parameters of a run describe, see :func:`build_model`.

    ``weights`` are taken instead of those in ``parameters``: "none" where trained ones follow. Weights ``run:ID`` are
    those of the whole network of a run.
    """
    weights = parameters["weights"] if weights is None else weights
    run = pretrained.named_run(weights)
    model = build_model(
        parameters["architecture"],
        parameters["backbone"],
        weights="none" if run else weights,
        num_classes=classes,
        parts=parameters.get("parts", PARTS),
        width=parameters.get("width", 1.0),
        norm=parameters.get("norm", "batch"),
        upsampling=parameters.get("upsampling"),
        auxiliary=parameters.get("auxiliary", ()),
        sides=len(parameters.get("deep_supervision", ())),
        resolution=parameters["resolution"],
    )
    return replace(model, weights=pretrained.from_run(run, model.network)) if run else model


def build_model(
    architecture: str,
    backbone: str,
    *,
    weights: str = "none",
    num_classes: int = 1,
    parts: Sequence[str] = PARTS,
    width: float = 1.0,
    norm: str = "batch",
    upsampling: str | None = None,
    auxiliary: Sequence[str] = (),
    sides: int = 0,
    resolution: int | None = None,
) -> BuiltModel:
    """The network ``architecture`` on ``backbone``, with its encoder's weights loaded.

    Args:
        architecture: one of ``ARCHITECTURES``, in any case.
        backbone: one of ``available_backbones(architecture)``; "none" for ``unet``, which has no encoder of its own.
        weights: "imagenet" or another tag that smp has for the backbone, from the hub; the path of a state dict of the
            encoder or of its whole classifier; or "none".
        parts: which of ``PARTS`` the ``unet`` has.
        width: multiplies the published channel counts of ``unet`` and of the dilated ResNet U-Net's decoder.
        norm: "batch", or "group" for group normalisation in decoder and head; an encoder always keeps its own.
        upsampling: "bilinear" or "bicubic" for the last upsampling of an smp network, where it has one, with pixel
            centres in their places; None: as smp has it, which aligns the corners.
        auxiliary: facts of ``heads.AUXILIARY`` that an smp network tells beside its logits.
        sides: how many coarser levels of the decoder predict as well in training; of "unet" and "smp-unet".
        resolution: side of the square pictures, for encoders that are made for one size; None: the published one.

    Raises:
        MedsegError: an unknown name, an option that the architecture does not have, or weights that cannot be had or
            do not fit. Weights that were asked for are never left random.
    """
    architecture = _known(architecture, ARCHITECTURES, "architecture", "medseg.pytorch.models.ARCHITECTURES")
    backbone = _known_backbone(architecture, backbone)
    parts = [_known(part, PARTS, "part of 'unet'", "medseg.pytorch.models.PARTS") for part in parts]
    if architecture != "unet" and set(parts) != set(PARTS):
        raise MedsegError(f"Parts can be chosen for 'unet' only; leave them out for '{architecture}'.")
    if architecture.startswith("smp-") and width != 1:
        raise MedsegError(f"'{architecture}' has the widths that smp gives it; leave width at 1 instead of {width:g}.")
    norm = _known(norm, NORMS, "norm", "medseg.pytorch.heads.NORMS")
    if upsampling is not None:
        upsampling = _known(upsampling, UPSAMPLINGS, "upsampling", "medseg.pytorch.heads.UPSAMPLINGS")
    facts = tuple(AUXILIARY)
    auxiliary = [_known(fact, facts, "auxiliary fact", "medseg.pytorch.heads.AUXILIARY") for fact in auxiliary]
    if auxiliary and (not architecture.startswith("smp-") or architecture == "smp-dpt"):
        raise MedsegError(
            f"Auxiliary heads need an encoder that ends in one feature map: an architecture of smp other than smp-dpt, "
            f"not '{architecture}'. Choose another, or leave auxiliary empty."
        )
    if not (0 < width < math.inf and num_classes >= 1):
        raise MedsegError(f"Width must be above 0 (it is {width}) and num_classes at least 1 (it is {num_classes}).")

    if architecture == "unet":
        model = _own_unet(weights, num_classes, parts, width)
    elif architecture == "dilated-resnet-unet":
        model = _dilated_resnet_unet(backbone, weights, num_classes, width)
    else:
        model = _smp_model(architecture, backbone, weights, num_classes, upsampling, auxiliary, resolution)
    if norm == "group":
        use_group_norm(model.network.network, architecture)
    if sides:
        model.network.sides = SideOutputs(model.network.network, architecture, sides, num_classes)
    return model


def hub_weights(architecture: str, backbone: str) -> list[str]:
    """Names of the pretrained weights that a hub has for an encoder; [] for the own U-Net, which has none."""
    if architecture.startswith("smp-") and not backbone.startswith("tu-"):
        return list(smp.encoders.encoders[backbone]["pretrained_settings"])
    return [] if architecture == "unet" else ["imagenet"]


def _own_unet(weights: str, num_classes: int, parts: Sequence[str], width: float) -> BuiltModel:
    if weights != "none":
        raise MedsegError(f"There are no pretrained weights for 'unet': set weights to 'none' instead of '{weights}'.")
    # Multiples of 8, because ASPP shares a width among four branches.
    widths = [max(8, 8 * round(channels * width / 8)) for channels in WIDTHS]
    network = UNet(num_classes=num_classes, widths=widths, **{part: part in parts for part in PARTS})
    return BuiltModel(PaddedNetwork(network, network.stride), IMAGENET, "random", network.stride)


def _dilated_resnet_unet(backbone: str, weights: str, num_classes: int, width: float) -> BuiltModel:
    network = DilatedResNetUNet(backbone, num_classes, width)
    label = "random"
    if weights != "none":
        hub = weights == "imagenet"
        loaded = pretrained.from_torchvision(backbone) if hub else pretrained.from_file(weights, backbone, ["imagenet"])
        pretrained.adopt(network.encoder, loaded, backbone)
        label = loaded.label
    return BuiltModel(PaddedNetwork(network, network.stride), IMAGENET, label, network.stride)


def _smp_model(
    architecture: str,
    backbone: str,
    weights: str,
    num_classes: int,
    upsampling: str | None,
    auxiliary: Sequence[str],
    resolution: int | None,
) -> BuiltModel:
    timm_name = backbone[3:] if backbone.startswith("tu-") else None
    tags = hub_weights(architecture, backbone)
    normalisation, loaded = normalisation_of(backbone), None
    options: dict[str, Any] = {"encoder_weights": None}
    if weights == "imagenet" and (here := pretrained.at_hand(backbone)):
        loaded, normalisation = here
    elif weights in tags and timm_name:
        # Loaded by timm itself, which knows what its older files need to be changed in.
        loaded = pretrained.from_timm(timm_name)
        options = {"encoder_weights": True, "pretrained_cfg_overlay": {"state_dict": dict(loaded.state_dict)}}
    elif weights in tags:
        loaded, normalisation = pretrained.from_smp(backbone, weights)
    elif weights != "none":
        loaded = pretrained.from_file(weights, backbone, tags)
    fixed: tuple[int, ...] | None = None
    try:
        config = timm.models.get_pretrained_cfg(timm_name) if timm_name else None
        if architecture == "smp-dpt":
            options["dynamic_img_size"] = True
        elif config and config.fixed_input_size:
            fixed = tuple(config.input_size[1:])
            if resolution and fixed != (resolution, resolution):
                options["img_size"] = fixed = (resolution, resolution)
        network = smp.create_model(architecture.removeprefix("smp-"), backbone, classes=num_classes, **options)
    except Exception as error:  # smp and timm refuse a combination with whatever exception comes to hand
        at = f" for pictures of {resolution} x {resolution}" if "img_size" in options else ""
        raise MedsegError(f"'{architecture}' cannot be built on '{backbone}'{at}: {error}") from error
    if loaded is not None and options["encoder_weights"] is None:
        pretrained.adopt(network.encoder, loaded, backbone, pretrained.timm_keys(timm_name) if timm_name else ())

    if upsampling is not None:
        set_upsampling(network, upsampling, architecture)
    padding: dict[str, Any] = {
        "stride": network.encoder.output_stride * _FURTHER_STRIDE.get(architecture, 1),
        "minimum": _MINIMUM_SIZES.get(architecture, 1),
        "fixed_size": fixed,
    }
    padded = AuxiliaryNetwork(network, auxiliary, **padding) if auxiliary else PaddedNetwork(network, **padding)
    return BuiltModel(padded, normalisation, loaded.label if loaded else "random", padded.stride)


def _known_backbone(architecture: str, backbone: str) -> str:
    if architecture == "unet" and backbone != "none":
        raise MedsegError(
            f"Architecture 'unet' is medseg's own and has no backbone: set it to 'none' instead of '{backbone}', or "
            "the architecture to 'smp-unet'."
        )
    if architecture.startswith("smp-") and backbone.startswith("tu-") and timm.is_model(backbone[3:]):
        return backbone  # a tag after the name is in no list
    listing = f"medseg.pytorch.models.available_backbones('{architecture}')"
    return _known(backbone, available_backbones(architecture), f"backbone for '{architecture}'", listing)


def _known(name: str, choices: Sequence[str], what: str, listing: str) -> str:
    if name.lower() in choices:
        return name.lower()
    near = nearest(name, choices, most=3)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    raise MedsegError(f"There is no {what} called '{name}'.{hint} All {len(choices)} are listed by {listing}.")
