"""What a training step is where classes overlap and facts about the patient are told beside them."""

import torch
from torch import nn
from torch.nn import functional

from medseg.pytorch.heads import AuxiliaryNetwork
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.overlapping_data import unpack
from medseg.pytorch.sums import EpochSums
from medseg.pytorch.task import SegmentationTask

AUXILIARY_WEIGHT = 0.005


class BoneTask(SegmentationTask):
    """Training on batches of :mod:`medseg.pytorch.overlapping_data`.

    A batch is grey pictures (B, 1, H, W) uint8, the bits of the classes (B, H, W) int32 and facts (B, F) int64 in the
    order of the network's auxiliary heads. The picture is repeated for the encoder's three channels and normalised as
    the encoder wants it. The loss is that of the logits plus ``auxiliary_weight`` times the sum of the facts' losses.

    Args:
        model: see :class:`SegmentationTask`, also for what is not described here.
        classes: number of classes.
        auxiliary_weight: of each fact's cross-entropy, which is the mean over the batch's cases that have the fact.
    """

    def __init__(
        self,
        model: BuiltModel,
        loss: nn.Module,
        *,
        classes: int,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
        **options: object,
    ) -> None:
        super().__init__(model, loss, **options)
        self._classes, self._auxiliary_weight = classes, auxiliary_weight
        self._auxiliary = isinstance(model.network, AuxiliaryNetwork)

    def step(self, batch: tuple[torch.Tensor, ...], sums: EpochSums) -> torch.Tensor:
        """Loss of one batch, which is counted in ``sums``."""
        pictures, bits, targets = batch
        masks = unpack(bits, self._classes)
        normalised = (pictures.float() / 255 - self._mean) / self._std  # one channel against three makes three
        logits, facts = self.network(normalised, auxiliary=True) if self._auxiliary else (self.network(normalised), {})
        loss = self.loss(logits, masks)
        for number, (name, said) in enumerate(facts.items()):
            own = fact_loss(said, targets[:, number])
            sums.add_fact(name, own.detach(), said.detach(), targets[:, number])
            loss = loss + self._auxiliary_weight * own
        sums.add(loss.detach(), logits.detach(), masks)
        return loss


def fact_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, mean over the cases whose truth is known; 0 where none is.

    Args:
        logits: (B,) float.
        targets: (B,) integers: 0, 1, or negative where the truth is not known.
    """
    known = targets >= 0
    each = functional.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
