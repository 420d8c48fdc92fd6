"""What one training step, one validation step and one epoch's end are."""

import math
from typing import Any

import lightning
import torch
from torch import nn

from medseg.errors import MedsegError
from medseg.pytorch.models import BuiltModel

SCHEDULES = ("plateau", "cosine", "constant")


class SegmentationTask(lightning.LightningModule):
    """Training of a segmentation network on binary (or multi-label) masks.

    Batches are pairs of uint8: pictures (B, 3, H, W) and masks (B, C, H, W) of {0, 1}; they become floats on the
    device. Validation Dice is the mean over cases of 2 TP / (2 TP + FP + FN) at threshold 0.5 and at the training
    resolution; cases that are empty in truth and prediction are left out.

    Args:
        model: network and the normalisation that its encoder expects.
        loss: takes logits and masks.
        schedule: ``plateau`` (factor 0.5 when validation loss has not fallen for 5 epochs), ``cosine`` (warm restarts
            every 10 epochs, Loshchilov and Hutter, arXiv 1608.03983) or ``constant``.
        seed: with the epoch, it fixes all randomness on the device.
    """

    def __init__(
        self, model: BuiltModel, loss: nn.Module, *, learning_rate: float, weight_decay: float, schedule: str, seed: int
    ) -> None:
        super().__init__()
        if schedule not in SCHEDULES:
            raise MedsegError(f"Unknown schedule {schedule!r}. Choose one of: {', '.join(SCHEDULES)}.")
        self.network, self.loss = model.network, loss
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._schedule_name, self._seed = schedule, seed
        self._schedule: Any = None
        mean = torch.tensor(model.normalisation.mean).view(1, 3, 1, 1)
        std = torch.tensor(model.normalisation.std).view(1, 3, 1, 1)
        self.register_buffer("_mean", mean, persistent=False)
        self.register_buffer("_std", std, persistent=False)
        self.epoch_results: dict[str, dict[str, float]] = {}

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (B, C, H, W) of uint8 pictures (B, 3, H, W)."""
        return self.network((pictures.float() / 255 - self._mean) / self._std)

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a resumed run draws what an undisturbed one would (dropout, for instance)."""
        torch.manual_seed(self._seed * 1_000_003 + self.current_epoch)
        self._sums = _Sums(self.device)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Loss of one batch."""
        return self._step(batch, self._sums)

    def on_validation_epoch_start(self) -> None:
        """Start counting afresh."""
        self._validation_sums = _Sums(self.device)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        """Count one batch."""
        self._step(batch, self._validation_sums)

    def on_validation_epoch_end(self) -> None:
        """Make the validation figures known to the callbacks that choose checkpoints and stop early."""
        self.epoch_results["validation"] = self._validation_sums.results()
        self.log("validation_dice", self.epoch_results["validation"]["dice"])

    def on_train_epoch_end(self) -> None:
        """Close the epoch.

        The learning rate is stepped here and not by Lightning, which steps schedulers after the checkpoint is written,
        so that a resumed run would miss a step.

        Raises:
            MedsegError: the training loss is not finite.
        """
        self.epoch_results["train"] = self._sums.results()
        learning_rate = self.optimizers().param_groups[0]["lr"]
        for results in self.epoch_results.values():
            results["learning_rate"] = learning_rate
        if not math.isfinite(self.epoch_results["train"]["loss"]):
            raise MedsegError(
                f"The training loss became {self.epoch_results['train']['loss']} in epoch {self.current_epoch + 1}. "
                "Try a lower learning_rate or precision='fp32'; delete the run's folder to start again."
            )
        if self._schedule_name == "plateau":
            self._schedule.step(self.epoch_results["validation"]["loss"])
        elif self._schedule is not None:
            self._schedule.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam (Kingma and Ba, arXiv 1412.6980) with L2 weight decay."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self._learning_rate, weight_decay=self._weight_decay)
        if self._schedule_name == "plateau":
            self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
        elif self._schedule_name == "cosine":
            self._schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the schedule's position."""
        if self._schedule is not None:
            checkpoint["schedule"] = self._schedule.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the schedule's position until the optimizer is there."""
        self._saved_schedule = checkpoint.get("schedule")

    def on_train_start(self) -> None:
        """Restore the schedule's position."""
        saved = getattr(self, "_saved_schedule", None)
        if saved is not None:
            self._schedule.load_state_dict(saved)

    def _step(self, batch: tuple[torch.Tensor, torch.Tensor], sums: "_Sums") -> torch.Tensor:
        pictures, masks = batch
        logits = self(pictures)
        loss = self.loss(logits, masks)
        sums.add(loss.detach(), logits.detach(), masks)
        return loss


class _Sums:
    """Running sums over an epoch, kept on the device so that nothing waits for it."""

    def __init__(self, device: torch.device) -> None:
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self._loss, self._dice, self._iou = (torch.zeros((), dtype=self._dtype, device=device) for _ in range(3))
        self._samples, self._scored = 0, torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: torch.Tensor, logits: torch.Tensor, masks: torch.Tensor) -> None:
        predicted, truth = logits > 0, masks.bool()  # sigmoid(x) > 0.5 is x > 0
        tp = (predicted & truth).flatten(2).sum(2)
        total = predicted.flatten(2).sum(2) + truth.flatten(2).sum(2)
        scored = total > 0
        self._dice += (2 * tp[scored] / total[scored]).to(self._dtype).sum()
        self._iou += (tp[scored] / (total - tp)[scored]).to(self._dtype).sum()
        self._scored += scored.sum()
        self._loss += loss.to(self._dtype) * len(masks)
        self._samples += len(masks)

    def results(self) -> dict[str, float]:
        scored = int(self._scored)
        return {
            "loss": float(self._loss) / max(self._samples, 1),
            "dice": float(self._dice) / scored if scored else math.nan,
            "iou": float(self._iou) / scored if scored else math.nan,
        }
