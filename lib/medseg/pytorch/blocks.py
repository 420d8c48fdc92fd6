"""The parts that the U-Net is put together from: double convolution, CBAM, ASPP, attention gate.

All tensors are float, B x C x H x W.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation that keep height and width; no bias, since the normalisation has one."""
    padding = dilation * (kernel_size // 2)
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each batch-normalised; C_in x H x W -> C_out x H x W.

    Without ``residual``: the block of U-Net (Ronneberger 2015, arXiv 1505.04597), padded so that the size stays.
    With it: y = ReLU(F(x) + S(x)) (He 2016, arXiv 1512.03385, equations 1 and 2), where S is the identity if
    C_in = C_out and else a batch-normalised 1x1 convolution: C_in * C_out + 2 * C_out more parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, residual: bool) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            conv_bn(in_channels, out_channels, 3), nn.ReLU(inplace=True), conv_bn(out_channels, out_channels, 3)
        )
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = nn.Identity() if in_channels == out_channels else conv_bn(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolutions(x)
        return F.relu(y if self.shortcut is None else y + self.shortcut(x))


class ChannelAttention(nn.Module):
    """M_c(F) = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F))), B x C x 1 x 1 in (0, 1) (Woo 2018, equation 2).

    One multi-layer perceptron without biases is shared by both pooled vectors: C -> C/16 -> C, that is
    2 * C * (C/16) parameters. Fewer than 4 hidden units (C < 64: only networks made narrower than published)
    would often all be dead, so there are at least 4.
    """

    REDUCTION = 16

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // self.REDUCTION)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True)))


class SpatialAttention(nn.Module):
    """M_s(F) = sigmoid(conv7x7([mean over channels; max over channels])), B x 1 x H x W in (0, 1).

    Woo 2018, equation 3; 2 * 7 * 7 = 98 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.convolution(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


class CBAM(nn.Module):
    """Convolutional block attention module: F' = M_c(F) F, F'' = M_s(F') F' (Woo 2018, arXiv 1807.06521, eq. 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channel_attention = ChannelAttention(channels)
        self.spatial_attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_attention(x) * x
        return self.spatial_attention(x) * x


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: parallel 3x3 convolutions that differ in dilation, concatenated.

    The idea is DeepLab's (Chen 2017, arXiv 1606.00915); the small rates 1, 2, 3, 4 suit a bottom that is only a few
    pixels wide. Each of n branches has C/n channels, so C x H x W -> C x H x W with 9 * C^2 + 2 * C parameters.
    ValueError: C cannot be shared out evenly.
    """

    def __init__(self, channels: int, rates: Sequence[int] = (1, 2, 3, 4)) -> None:
        super().__init__()
        if channels % len(rates):
            raise ValueError(f"ASPP shares its channels among {len(rates)} branches: {channels} is no multiple of it.")
        self.branches = nn.ModuleList(
            nn.Sequential(conv_bn(channels, channels // len(rates), 3, dilation=rate), nn.ReLU(inplace=True))
            for rate in rates
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class AttentionGate(nn.Module):
    """Additive attention gate on a skip connection x, steered by the coarser features g below it.

    q = psi^T ReLU(W_x x + W_g g + b_g) + b_psi and alpha = sigmoid(q) (Oktay 2018, arXiv 1804.03999, equations 1
    and 2), computed on g's grid; alpha is resampled bilinearly to x's grid and the skip becomes alpha * x. W_x is
    the authors' 2x2 convolution of stride 2, with C_x / 2 intermediate channels. For C_x, C_g and I = C_x / 2 that
    is 4 * C_x * I + C_g * I + I + I + 1 parameters.

    ``coefficients`` is the module whose output is alpha, B x 1 x H_g x W_g in (0, 1).
    """

    def __init__(self, skip_channels: int, gating_channels: int) -> None:
        super().__init__()
        intermediate = max(1, skip_channels // 2)
        self.skip_projection = nn.Conv2d(skip_channels, intermediate, 2, stride=2, bias=False)
        self.gating_projection = nn.Conv2d(gating_channels, intermediate, 1)
        self.coefficients = nn.Sequential(nn.ReLU(), nn.Conv2d(intermediate, 1, 1), nn.Sigmoid())

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """``skip`` (B x C_x x H x W, ``gating`` being B x C_g x H//2 x W//2) scaled by alpha."""
        alpha = self.coefficients(self.skip_projection(skip) + self.gating_projection(gating))
        return skip * F.interpolate(alpha, size=skip.shape[2:], mode="bilinear", align_corners=False)
