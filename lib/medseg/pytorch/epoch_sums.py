"""Figures of an epoch, summed up batch by batch on the device; and the loss of a fact that not every case has."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from medseg.pytorch.several_devices import total


class EpochSums:
    """Loss, mean Dice and mean IoU of an epoch, and how well facts are told.

    Dice is the mean over cases and classes of 2 TP / (2 TP + FP + FN) at threshold 0.5, IoU that of TP / (TP + FP +
    FN); a class that is empty in truth and prediction of a case is left out. The counts are integers. The sums stay on
    the device, so that nothing waits for them; :meth:`results` adds those of several processes up.

    Args:
        facts: names of those that :meth:`add_fact` may be told of.
    """

    def __init__(self, device: torch.device, facts: Sequence[str] = ()) -> None:
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self._loss, self._dice, self._iou = (torch.zeros((), dtype=self._dtype, device=device) for _ in range(3))
        self._items, self._scored = 0, torch.zeros((), dtype=torch.int64, device=device)
        self._facts = {name: torch.zeros(3, dtype=self._dtype, device=device) for name in facts}

    def add(self, loss: torch.Tensor, logits: torch.Tensor, masks: torch.Tensor) -> None:
        """Count a batch: ``loss`` is the mean over it, ``logits`` and ``masks`` of {0, 1} are (B, C, H, W)."""
        self._loss += loss.to(self._dtype) * len(masks)
        self._items += len(masks)
        for number in range(masks.shape[1]):  # class by class: all at once would need twice the memory of the masks
            # sigmoid(x) > 0.5 is x > 0
            predicted, truth = logits[:, number].flatten(1) > 0, masks[:, number].flatten(1).bool()
            tp = (predicted & truth).sum(1)
            total = predicted.sum(1) + truth.sum(1)
            scored = total > 0
            found, both = tp.to(self._dtype), total.to(self._dtype).clamp(min=1)
            self._dice += (2 * found / both).sum()  # 0 where nothing is scored
            self._iou += (found / (both - found)).sum()
            self._scored += scored.sum()

    def add_fact(self, name: str, loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> None:
        """Count what a batch says about a fact; see :func:`fact_loss`."""
        known = targets >= 0
        right = ((logits > 0) == (targets == 1)) & known
        number = known.sum()
        self._facts[name] += torch.stack([loss.to(self._dtype) * number, right.sum(), number])

    def results(self) -> dict[str, float]:
        """loss, dice and iou; for each fact FACT_loss and FACT_accuracy. NaN where nothing was scored or known."""
        items = torch.full_like(self._loss, self._items)
        sums = torch.stack([self._loss, self._dice, self._iou, self._scored.to(self._dtype), items])
        loss, dice, iou, scored, count, *facts = total(torch.cat([sums, *self._facts.values()])).tolist()
        results = {
            "loss": loss / max(count, 1),
            "dice": dice / scored if scored else math.nan,
            "iou": iou / scored if scored else math.nan,
        }
        for number, name in enumerate(self._facts):
            loss, right, known = facts[3 * number : 3 * number + 3]
            results[f"{name}_loss"] = loss / known if known else math.nan
            results[f"{name}_accuracy"] = right / known if known else math.nan
        return results


def fact_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of ``logits`` (B,), mean over the cases whose ``targets`` are not negative; 0 for none."""
    known = targets >= 0
    each = functional.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
