"""Deep supervision: coarser levels of a decoder predict as well while they train (Lee et al. 2015, arXiv 1409.5185)."""

from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.errors import MedsegError

#: Architectures whose decoder goes up level by level.
WITH_LEVELS = ("unet", "smp-unet")


class SideOutputs(nn.Module):
    """A 1 x 1 convolution on what each of some levels of a decoder gave in the last pass in training mode.

    Args:
        network: of one of ``WITH_LEVELS``.
        count: of levels, from half the size of the picture down.

    Raises:
        MedsegError: there are not so many.
    """

    def __init__(self, network: Any, architecture: str, count: int, classes: int) -> None:
        super().__init__()
        if architecture not in WITH_LEVELS:
            raise MedsegError(
                f"deep_supervision needs a decoder that goes up level by level: {' or '.join(WITH_LEVELS)}, not "
                f"'{architecture}'. Choose one of them, or leave it empty."
            )
        levels = list(network.expanding if architecture == "unet" else network.decoder.blocks)[-2::-1]
        if count > len(levels):
            raise MedsegError(
                f"deep_supervision has {count} weights, but '{architecture}' has {len(levels)} levels below the full "
                "size. Give at most so many."
            )
        self.heads = nn.ModuleList()
        self._features: dict[int, Tensor] = {}
        for number, level in enumerate(levels[:count]):
            channels = level.channels if architecture == "unet" else level.conv2[0].out_channels
            self.heads.append(nn.Conv2d(channels, classes, 1))
            level.register_forward_hook(partial(self._keep, number))

    def _keep(self, number: int, level: nn.Module, given: Any, feature: Tensor) -> None:
        if level.training:
            self._features[number] = feature

    def forward(self, height: int, width: int) -> list[Tensor]:
        """Logits B x C x H x W, float32, of every level, brought to the size of the pictures bilinearly."""
        found = []
        for number, head in enumerate(self.heads):
            logits = F.interpolate(
                head(self._features.pop(number)).float(), scale_factor=2 ** (number + 1), mode="bilinear"
            )
            found.append(logits[..., :height, :width])
        return found
