"""The project's own U-Net, whose residual, CBAM, ASPP and attention-gate parts can each be switched on or off."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.pytorch.blocks import ASPP, CBAM, AttentionGate, DoubleConv

WIDTHS = (64, 128, 256, 512, 512)


class ExpandingLevel(nn.Module):
    """Brings the features from below to the size of the skip, joins the two and convolves them."""

    def __init__(self, skip: int, below: int, out: int, residual: bool, attention: bool) -> None:
        super().__init__()
        self.gate = AttentionGate(skip, below) if attention else None
        self.convolutions = DoubleConv(skip + below, out, residual)
        self.channels = out

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        upsampled = F.interpolate(below, size=skip.shape[2:], mode="bilinear", align_corners=False)
        skip = skip if self.gate is None else self.gate(skip, below)
        return self.convolutions(torch.cat([skip, upsampled], 1))


class UNet(nn.Module):
    """U-Net (Ronneberger 2015, arXiv 1505.04597) with padded convolutions, max pooling and bilinear upsampling.

    Level i of the contracting path has ``widths[i]`` channels at 1 / 2^i of the size; the last is the bottom. Going
    up, level i is made from its skip and the level below, and leaves with ``widths[i - 1]`` channels so that the
    next concatenation is even (``widths[0]`` at the top). The switches are independent of each other:

    residual: shortcuts around every double convolution (`DoubleConv`).
    cbam: `CBAM` on the output of every contracting level, before it goes down and across; not on the bottom.
    aspp: `ASPP` with rates 1, 2, 3, 4 on what enters the bottom, before the bottom's double convolution.
    attention: an `AttentionGate` on every skip, steered by the level below as it is before upsampling. (Oktay 2018
        left the topmost skip ungated; here all are, as in the polyp work that this network follows.)

    Input B x ``in_channels`` x H x W, normalised float, H and W at least 2^(levels - 1) but otherwise any; output
    B x ``num_classes`` x H x W logits. For one pass in training mode the bottom must hold more than one value per
    channel (batch normalisation).
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 1,
        widths: Sequence[int] = WIDTHS,
        residual: bool = True,
        cbam: bool = True,
        aspp: bool = True,
        attention: bool = True,
    ) -> None:
        super().__init__()
        *skips, bottom = widths
        self.stride = 2 ** len(skips)
        self.contracting = nn.ModuleList(
            nn.Sequential(DoubleConv(below, width, residual), *([CBAM(width)] if cbam else []))
            for below, width in pairwise([in_channels, *skips])
        )
        self.aspp = ASPP(skips[-1]) if aspp else nn.Identity()
        self.bottom = DoubleConv(skips[-1], bottom, residual)
        self.expanding = nn.ModuleList()
        below = bottom
        for level in reversed(range(len(skips))):
            above = skips[max(0, level - 1)]
            self.expanding.append(ExpandingLevel(skips[level], below, above, residual, attention))
            below = above
        self.head = nn.Conv2d(below, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        skips, x = [], images
        for level in self.contracting:
            x = level(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(self.aspp(x))
        for level in self.expanding:
            x = level(skips.pop(), x)
        return self.head(x)
