"""The dilated ResNet U-Net of Sun et al., "Colorectal Polyp Segmentation by U-Net with Dilation Convolution".

From the paper (ICMLA 2019, arXiv 1912.11947): an encoder-decoder for polyps; dilated convolution in the encoder
learns high-level features without reducing the resolution any further; a simplified decoder brings the features of
all scales together with fewer parameters than U-Net's. From the polyp work whose figures this project reproduces: the
channel counts (128 for the deepest stage, 32 for each other, 224 together), that the last ResNet stage alone is
dilated, and the head of two 3x3 convolutions. Ours: ReLU after each squeeze, where that work had a sigmoid.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from medseg.pytorch.blocks import conv_bn

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101")
SQUEEZED = (32, 32, 32, 128)


def dilate_stage(stage: nn.Module) -> None:
    """Trade the stride of a ResNet stage for dilation, in place: same weights, twice the resolution.

    The strided convolutions get stride 1 and every 3x3 convolution after the first strided one dilation 2, so that
    each output at an even position is what the strided stage would have given there. Works for the basic blocks of
    ResNet-18/34 too, which torchvision's ``replace_stride_with_dilation`` refuses.
    """
    strided = False
    for module in stage.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if strided and module.kernel_size == (3, 3):
            module.dilation = module.padding = (2, 2)
        if module.stride == (2, 2):
            module.stride = (1, 1)
            strided = True


class DilatedResNetUNet(nn.Module):
    """ResNet-18/34/50/101 whose last stage is dilated: stages at strides 4, 8, 16 and 16 instead of 32.

    Each stage goes through a 1x1 convolution (the first three to 32 channels, the last to 128), is upsampled
    bilinearly to the size of the image, batch-normalised and rectified; the four are concatenated (224 channels)
    and pass two 3x3 convolutions and a 1x1 convolution. A 1x1 convolution and bilinear upsampling commute, so
    squeezing at the stage's own size gives the same numbers as upsampling first, at a fraction of the memory.

    ``width`` scales the decoder's channel counts (1 as published). Input B x 3 x H x W, normalised float; output
    B x ``num_classes`` x H x W logits, for any H and W. The encoder's state dict has torchvision's own keys.
    """

    stride = 16

    def __init__(self, backbone: str = "resnet50", num_classes: int = 1, width: float = 1.0) -> None:
        super().__init__()
        resnet = torchvision.models.get_model(backbone, weights=None)
        children = [(name, child) for name, child in resnet.named_children() if name not in ("avgpool", "fc")]
        self.encoder = nn.Sequential(OrderedDict(children))
        dilate_stage(self.encoder.get_submodule("layer4"))

        planes = [64, 128, 256, 512]
        expansion = resnet.fc.in_features // planes[-1]
        squeezed = [max(1, round(channels * width)) for channels in SQUEEZED]
        self.squeeze = nn.ModuleList(
            nn.Conv2d(plane * expansion, channels, 1, bias=False)
            for plane, channels in zip(planes, squeezed, strict=True)
        )
        self.normalise = nn.ModuleList(nn.BatchNorm2d(channels) for channels in squeezed)
        merged = sum(squeezed)
        self.head = nn.Sequential(
            conv_bn(merged, merged, 3),
            nn.ReLU(inplace=True),
            conv_bn(merged, merged, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(merged, num_classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        stages, x = [], images
        for name, module in self.encoder.named_children():
            x = module(x)
            if name.startswith("layer"):
                stages.append(x)
        size = images.shape[2:]
        merged = [
            F.relu(normalise(F.interpolate(squeeze(stage), size=size, mode="bilinear", align_corners=False)))
            for stage, squeeze, normalise in zip(stages, self.squeeze, self.normalise, strict=True)
        ]
        return self.head(torch.cat(merged[::-1], 1))
