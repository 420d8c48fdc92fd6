"""What one training step, one validation step and one epoch's end are, by kind of label."""

import math
from typing import Any

import lightning
import torch
from torch import nn
from torch.nn import functional

from medseg.pytorch.data import unpack
from medseg.pytorch.heads import AuxiliaryNetwork
from medseg.pytorch.models import BuiltModel

SCHEDULES = ("plateau", "cosine", "constant")


class EpochSums:
    """Loss, mean Dice and mean IoU of an epoch, and how well facts are told.

    Dice is the mean over cases and classes of 2 TP / (2 TP + FP + FN) at threshold 0.5, IoU that of TP / (TP + FP +
    FN); a class that is empty in truth and prediction of a case is left out. The counts are integers. The sums stay on
    the device, so that nothing waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self._loss, self._dice, self._iou = (torch.zeros((), dtype=self._dtype, device=device) for _ in range(3))
        self._items, self._scored = 0, torch.zeros((), dtype=torch.int64, device=device)
        self._facts: dict[str, torch.Tensor] = {}

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
        added = torch.stack([loss.to(self._dtype) * number, right.sum().to(self._dtype), number.to(self._dtype)])
        self._facts[name] = self._facts.get(name, torch.zeros_like(added)) + added

    def results(self) -> dict[str, float]:
        """loss, dice and iou; for each fact FACT_loss and FACT_accuracy. NaN where nothing was scored or known."""
        scored = int(self._scored)
        results = {
            "loss": float(self._loss) / max(self._items, 1),
            "dice": float(self._dice) / scored if scored else math.nan,
            "iou": float(self._iou) / scored if scored else math.nan,
        }
        for name, sums in self._facts.items():
            loss, right, known = sums.tolist()
            results[f"{name}_loss"] = loss / known if known else math.nan
            results[f"{name}_accuracy"] = right / known if known else math.nan
        return results


class SegmentationTask(lightning.LightningModule):
    """Training of a segmentation network on binary masks.

    Batches are pairs of uint8: pictures (B, 3, H, W) and masks (B, 1, H, W) of {0, 1}; they become floats on the
    device. The figures are those of :class:`EpochSums`, at the training resolution.

    Args:
        loss: takes logits and masks.
        schedule: ``plateau`` (factor 0.5 when validation loss has not fallen for 5 validations), ``cosine`` (warm
            restarts, Loshchilov and Hutter, arXiv 1608.03983) or ``constant``.
        seed: with the epoch, it fixes all randomness on the device.
        backbone_learning_rate: of the encoder; 0: the same as ``learning_rate``.
        restarts: of the schedule ``cosine``: epochs to the first restart, and the factor by which each further stretch
            is longer than the one before.
    """

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(
        self,
        model: BuiltModel,
        loss: nn.Module,
        *,
        learning_rate: float,
        weight_decay: float,
        schedule: str,
        seed: int,
        backbone_learning_rate: float = 0.0,
        restarts: tuple[int, int] = (10, 1),
    ) -> None:
        super().__init__()
        self.network, self.loss = model.network, loss
        self._encoder = [] if model.encoder is None else list(model.encoder.parameters())
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._backbone_learning_rate, self._restarts = backbone_learning_rate, restarts
        self._schedule_name, self._seed = schedule, seed
        self._schedule: Any = None
        for name in ("mean", "std"):
            values = torch.tensor(getattr(model.normalisation, name)).view(1, 3, 1, 1)
            self.register_buffer(f"_{name}", values, persistent=False)
        self.epoch_results: dict[str, dict[str, float]] = {}

    def forward(self, pictures: torch.Tensor, **options: Any) -> Any:
        """Logits (B, C, H, W) of uint8 pictures (B, 3, H, W), or grey ones: one channel against three makes three."""
        return self.network((pictures.float() / 255 - self._mean) / self._std, **options)

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a resumed run draws what an undisturbed one would (dropout, for instance)."""
        torch.manual_seed(self._seed * 1_000_003 + self.current_epoch)
        self.epoch_results = {}
        self._sums = EpochSums(self.device)

    def training_step(self, batch: tuple[torch.Tensor, ...], _: int) -> torch.Tensor:
        return self.step(batch, self._sums)

    def on_validation_epoch_start(self) -> None:
        self._validation_sums = EpochSums(self.device)

    def validation_step(self, batch: tuple[torch.Tensor, ...], _: int) -> None:
        self.step(batch, self._validation_sums)

    def on_validation_epoch_end(self) -> None:
        self.epoch_results["validation"] = self._validation_sums.results()
        self.log("validation_dice", self.epoch_results["validation"]["dice"])

    def on_train_epoch_end(self) -> None:
        """Close the epoch.

        The learning rate is stepped here and not by Lightning, which steps schedulers after the checkpoint is written,
        so that a resumed run would miss a step.
        """
        self.epoch_results["train"] = self._sums.results()
        if self._schedule_name != "plateau":
            if self._schedule is not None:
                self._schedule.step()
        elif "validation" in self.epoch_results:
            self._schedule.step(self.epoch_results["validation"]["loss"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam (Kingma and Ba, arXiv 1412.6980) with L2 weight decay; an encoder with a rate of its own comes last."""
        groups: list[dict[str, Any]] = [{"params": list(self.parameters())}]
        if self._backbone_learning_rate:
            of_encoder = {id(parameter) for parameter in self._encoder}
            groups[0]["params"] = [p for p in self.parameters() if id(p) not in of_encoder]
            groups.append({"params": self._encoder, "lr": self._backbone_learning_rate})
        optimizer = torch.optim.Adam(groups, lr=self._learning_rate, weight_decay=self._weight_decay)
        if self._schedule_name == "plateau":
            self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
        elif self._schedule_name == "cosine":
            self._schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, *self._restarts)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._schedule is not None:
            checkpoint["schedule"] = self._schedule.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The optimizer is not there yet.
        self._saved_schedule = checkpoint.get("schedule")

    def on_train_start(self) -> None:
        saved = getattr(self, "_saved_schedule", None)
        if saved is not None:
            self._schedule.load_state_dict(saved)

    def step(self, batch: tuple[torch.Tensor, ...], sums: EpochSums) -> torch.Tensor:
        """Loss of one batch, which is counted in ``sums``."""
        pictures, masks = batch
        logits = self(pictures)
        loss = self.loss(logits, masks)
        sums.add(loss.detach(), logits.detach(), masks)
        return loss


class OverlappingTask(SegmentationTask):
    """Training on overlapping classes, and on facts about the patient that are told beside them.

    A batch of ``data.OverlappingItems`` is grey pictures (B, 1, H, W) uint8, the bits of the classes (B, H, W) int32
    and facts (B, F) int64 in the order of the network's auxiliary heads. The loss is that of the logits plus
    ``auxiliary_weight`` times the sum of the facts' cross-entropies, each the mean over the batch's cases that have the
    fact. ``options`` are those of :class:`SegmentationTask`.
    """

    def __init__(
        self, model: BuiltModel, loss: nn.Module, *, classes: int, auxiliary_weight: float = 0.005, **options: Any
    ) -> None:
        super().__init__(model, loss, **options)
        self._classes, self._auxiliary_weight = classes, auxiliary_weight
        self._auxiliary = isinstance(model.network, AuxiliaryNetwork)

    def step(self, batch: tuple[torch.Tensor, ...], sums: EpochSums) -> torch.Tensor:
        pictures, bits, targets = batch
        masks = unpack(bits, self._classes)
        logits, facts = self(pictures, auxiliary=True) if self._auxiliary else (self(pictures), {})
        loss = self.loss(logits, masks)
        for number, (name, said) in enumerate(facts.items()):
            own = fact_loss(said, targets[:, number])
            sums.add_fact(name, own.detach(), said.detach(), targets[:, number])
            loss = loss + self._auxiliary_weight * own
        sums.add(loss.detach(), logits.detach(), masks)
        return loss


def fact_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of ``logits`` (B,), mean over the cases whose ``targets`` are not negative; 0 for none."""
    known = targets >= 0
    each = functional.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
