"""Losses by name and their weighted sums, for one class or several overlapping ones.

Every loss takes logits (B x C x H x W, any float type) and targets (same shape, uint8, bool or float, 0 or 1) and
gives a scalar float32. They are computed in float32 whatever autocast says: the sums of a large mask overflow fp16
and are too coarse in bf16.
"""

import math
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from segmentation_models_pytorch import losses as smp_losses
from torch import Tensor, nn

from medseg.errors import MedsegError
from medseg.names import did_you_mean

SMOOTHING = 1.0


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - Dice of every image and class, then the mean over all of them.

    Soft Dice with p = sigmoid(logits): (2 sum(p t) + s) / (sum(p) + sum(t) + s), sums over the pixels of one image
    and class, s = 1 pixel (Milletari 2016, arXiv 1606.04797, with plain sums below the line). Where the truth is
    empty the loss is S / (S + 1) for S = sum(p): 0 for an empty prediction, near 1 for anything visible.
    """
    probabilities = logits.sigmoid()
    overlap = (probabilities * targets).sum((2, 3))
    total = probabilities.sum((2, 3)) + targets.sum((2, 3))
    return (1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING)).mean()


def structure_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted BCE + weighted IoU of every image and class, then the mean (Wei et al. 2020, F3Net, eq. 3 to 7).

    A pixel weighs 1 + 5 |mean of the truth in the 31 x 31 pixels around it - its own truth|: most at edges. PraNet and
    its followers train on it. Around the picture the window counts 0, as in their code.
    """
    weights = 1 + 5 * (F.avg_pool2d(targets, 31, stride=1, padding=15) - targets).abs()
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    bce = (weights * bce).sum((2, 3)) / weights.sum((2, 3))
    probabilities = logits.sigmoid()
    overlap = (weights * probabilities * targets).sum((2, 3))
    union = (weights * (probabilities + targets)).sum((2, 3)) - overlap
    return (bce + 1 - (overlap + 1) / (union + 1)).mean()


def _lovasz(logits: Tensor, targets: Tensor) -> Tensor:
    # smp flattens the whole batch, classes included; the hinge of Berman 2018 (arXiv 1705.08790) is per image and
    # class, which is what smp does when each comes as an image of its own.
    loss = smp_losses.LovaszLoss("binary", per_image=True)
    return loss(logits.flatten(0, 1), targets.flatten(0, 1))


def _mcc(logits: Tensor, targets: Tensor) -> Tensor:
    # smp's takes probabilities and knows one class only.
    loss = smp_losses.MCCLoss()
    classes = zip(logits.sigmoid().unbind(1), targets.unbind(1), strict=True)
    return torch.stack([loss(probabilities, truth) for probabilities, truth in classes]).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dice": dice_loss,
    "bce": F.binary_cross_entropy_with_logits,
    # Targets 0.1 and 0.9.
    "softbce": smp_losses.SoftBCEWithLogitsLoss(smooth_factor=0.1),
    # Over the whole batch, class by class; a class without a true pixel in the batch counts 0.
    "jaccard": smp_losses.JaccardLoss("multilabel"),
    # Misses weigh 0.7, false alarms 0.3 (Salehi 2017, arXiv 1706.05721).
    "tversky": smp_losses.TverskyLoss("multilabel", alpha=0.3, beta=0.7),
    # gamma = 2, no class balance (Lin 2017, arXiv 1708.02002).
    "focal": smp_losses.FocalLoss("multilabel", gamma=2.0),
    "lovasz": _lovasz,
    # Over the whole batch, mean over classes (Abhishek and Hamarneh 2021, arXiv 2010.13454).
    "mcc": _mcc,
    "structure": structure_loss,
}


class WeightedLoss(nn.Module):
    """The weighted sum of some of ``LOSSES``; ``terms`` is a list of (weight, name)."""

    def __init__(self, terms: list[tuple[float, str]]) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        # Broadcasting B x H x W against B x 1 x H x W would give a plausible and wrong number.
        if logits.shape != targets.shape or logits.ndim != 4:
            raise ValueError(
                f"A loss needs logits and targets of one shape B x C x H x W, not {tuple(logits.shape)} "
                f"and {tuple(targets.shape)}."
            )
        logits, targets = logits.float(), targets.float()
        return sum((weight * LOSSES[name](logits, targets) for weight, name in self.terms), logits.new_zeros(()))

    def extra_repr(self) -> str:
        return " + ".join(f"{weight:g}*{name}" for weight, name in self.terms)


def build_loss(spec: str) -> WeightedLoss:
    """The loss that ``spec`` names: ``"dice"``, ``"bce+dice"``, ``"0.3*bce + 0.7*dice"``.

    Names are those of ``LOSSES``; a name without a weight has weight 1. Case and spaces do not matter. A
    :class:`MedsegError` where a name is unknown, or a weight is not a positive number.
    """
    return WeightedLoss([_term(text, spec) for text in re.sub(r"\s", "", spec.lower()).split("+")])


def _term(text: str, spec: str) -> tuple[float, str]:
    weight, star, name = text.rpartition("*")
    if name not in LOSSES:
        raise MedsegError(
            f"Loss '{spec}': there is no loss '{name}'.{did_you_mean(name, LOSSES)} Known are {', '.join(LOSSES)}, "
            "and weighted sums of them such as '0.5*bce+0.5*dice'."
        )
    try:
        value = float(weight) if star else 1.0
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise MedsegError(
            f"Loss '{spec}': '{weight}' before '{name}' is no weight. Write a positive decimal number, "
            "such as '0.5*bce+0.5*dice'."
        )
    return value, name
