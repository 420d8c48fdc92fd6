"""What an encoder asks of its images: their normalisation, and a height and width that it can halve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.errors import MedsegError


@dataclass(frozen=True)
class Normalisation:
    """What a network expects of an RGB image in [0, 1]: (image - mean) / std, channel by channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# smp keeps the normalisation of its encoders on the hub, beside the weights. These are the values of those that do
# not use ImageNet's, as timm has them for the same networks, so that they are known without a connection too.
_INCEPTION = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN = Normalisation((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
_EXCEPTIONS = {"inception": _INCEPTION, "xception": _INCEPTION, "timm-tf_efficientnet_lite": _INCEPTION, "dpn": _DPN}


def normalisation_of(encoder: str) -> Normalisation:
    """The normalisation that smp's ``encoder`` (or timm's, ``tu-NAME``) was trained with; else ImageNet's."""
    if encoder.startswith("tu-"):
        if not timm.models.is_model_pretrained(encoder[3:]):
            return IMAGENET
        return from_preprocessing(encoder, smp.encoders.get_preprocessing_params(encoder))
    return next((own for prefix, own in _EXCEPTIONS.items() if encoder.startswith(prefix)), IMAGENET)


def from_preprocessing(encoder: str, parameters: Mapping) -> Normalisation:
    """smp's preprocessing parameters, which may be for values up to 255, as they apply to an RGB image in [0, 1].

    A :class:`MedsegError` where the encoder wants its channels in another order, or a range that does not begin at 0.
    """
    low, high = parameters["input_range"]
    if parameters["input_space"] != "RGB" or low != 0:
        raise MedsegError(
            f"Encoder '{encoder}' wants {parameters['input_space']} images from {low} to {high}; medseg feeds RGB "
            "images from 0 up. Choose another encoder."
        )
    mean, std = (tuple(value / high for value in parameters[name]) for name in ("mean", "std"))
    return Normalisation(mean, std)


class PaddedNetwork(nn.Module):
    """Lets a network that wants multiples of ``stride`` take images of any size.

    Images (B x 3 x H x W, normalised float) are padded on the right and at the bottom, at least to ``minimum``, by
    repeating their last column and row: that puts no edge where there is none, and unlike reflection works for any
    size. The logits are cut back to H x W and are float32 under autocast too. A :class:`MedsegError` where the encoder
    takes images of ``fixed_size`` (height, width) alone, and this is another.
    """

    network: Any  # a module, whose own parts have names that no type knows

    def __init__(
        self, network: nn.Module, stride: int, minimum: int = 1, fixed_size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.sides: nn.Module | None = None  # see :class:`medseg.pytorch.side_outputs.SideOutputs`
        self.stride, self.minimum, self.fixed_size = stride, minimum, fixed_size

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        return self.network(self.padded(images))[..., :height, :width].float()

    def padded(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if self.fixed_size is not None and (height, width) != self.fixed_size:
            raise MedsegError(
                f"This encoder takes images of {self.fixed_size[0]} x {self.fixed_size[1]} pixels alone, not "
                f"{height} x {width}: set the resolution to that, or choose a convolutional encoder."
            )
        bottom, right = self._missing(height), self._missing(width)
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom), mode="replicate")
        return images

    def _missing(self, size: int) -> int:
        strides = -(-max(size, self.minimum) // self.stride)
        return strides * self.stride - size
