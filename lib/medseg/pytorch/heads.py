"""What networks can have otherwise: normalisation, last upsampling, and heads that tell facts about the patient."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from medseg.errors import MedsegError
from medseg.pytorch.backbones import PaddedNetwork

NORMS = ("batch", "group")
GROUPS = 32
#: Parts that keep their own normalisation: pretrained statistics mean nothing to another one.
ENCODERS = ("encoder", "contracting")
UPSAMPLINGS = ("bilinear", "bicubic")
#: The facts that auxiliary heads tell, each with the two values that stand for 0 and 1.
AUXILIARY = {"sex": ("F", "M"), "side": ("L", "R")}


def use_group_norm(network: nn.Module, name: str) -> None:
    """Replace, in place, every ``BatchNorm2d`` of decoder and head by ``GroupNorm`` (Wu and He, arXiv 1803.08494).

    Never inside an encoder, pretrained or not. It is for batches too small to measure a variance in. A
    :class:`MedsegError` where there is no batch normalisation outside the encoder.
    """
    replaced = sum(_replace(child) for part, child in network.named_children() if part not in ENCODERS)
    if not replaced:
        raise MedsegError(
            f"'{name}' has no batch normalisation outside its encoder, so norm='group' would change nothing. Set norm "
            "to 'batch', which leaves it as it is."
        )


def groups_of(channels: int) -> int:
    """The greatest number up to 32 that divides ``channels``."""
    return max(groups for groups in range(1, GROUPS + 1) if channels % groups == 0)


def _replace(module: nn.Module) -> int:
    replaced = 0
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(groups_of(child.num_features), child.num_features, eps=child.eps))
            replaced += 1
        else:
            replaced += _replace(child)
    return replaced


def set_upsampling(network: nn.Module, mode: str, name: str) -> None:
    """Let the last upsampling of an smp network be a ``mode`` of ``UPSAMPLINGS``, with pixel centres in their places.

    smp's own aligns the corner pixels instead, which moves logits by up to half a step of the coarse grid towards the
    border. Networks whose decoder ends at full size have none and stay as they are. ``name`` is the network's, for the
    :class:`MedsegError` where its upsampling is not to be changed.
    """
    head = network.segmentation_head
    if not isinstance(head, nn.Sequential):
        if mode != "bilinear":
            raise MedsegError(f"'{name}' has a bilinear upsampling of its own; set upsampling to 'bilinear'.")
        return
    for number, layer in enumerate(head):
        if isinstance(layer, nn.UpsamplingBilinear2d | nn.Upsample):
            head[number] = nn.Upsample(scale_factor=layer.scale_factor, mode=mode, align_corners=False)


class AuxiliaryNetwork(PaddedNetwork):
    """An smp network that also tells facts of ``AUXILIARY``, each by one linear layer.

    The layer sees the mean of the last encoder feature over the whole (padded) picture. The logit of a fact is above 0
    where its second value is the likelier one.
    """

    def __init__(self, network: nn.Module, facts: Sequence[str], **padding: Any) -> None:
        super().__init__(network, **padding)
        channels = self.network.encoder.out_channels[-1]
        self.auxiliary = nn.ModuleDict({fact: nn.Linear(channels, 1) for fact in facts})

    def forward(self, images: Tensor, auxiliary: bool = False) -> Any:
        """Logits B x C x H x W; with ``auxiliary`` also the logit (B,) of every fact; all float32."""
        if not auxiliary:
            return super().forward(images)
        height, width = images.shape[2:]
        features = self.network.encoder(self.padded(images))
        pooled = features[-1].mean((2, 3))
        logits = self.network.segmentation_head(self.network.decoder(features))
        facts = {fact: head(pooled)[:, 0].float() for fact, head in self.auxiliary.items()}
        return logits[..., :height, :width].float(), facts
