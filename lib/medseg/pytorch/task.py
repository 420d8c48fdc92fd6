"""What one training step, one validation step and one epoch's end are, by kind of label."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from medseg.pytorch.data import unpack
from medseg.pytorch.epoch_sums import EpochSums, fact_loss
from medseg.pytorch.heads import AuxiliaryNetwork
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.optimisation import Optimisation


class SegmentationTask(lightning.LightningModule):
    """Training of a segmentation network on binary masks.

    Batches are pairs of uint8: pictures (B, 3, H, W) and masks (B, 1, H, W) of {0, 1}; they become floats on the
    device. The figures are those of :class:`EpochSums`, at the training resolution.

    Args:
        loss: takes logits and masks.
        seed: with the epoch, it fixes all randomness on the device.
        label_smoothing: of the masks that are trained on, s: 1 becomes 1 - s / 2, and 0 becomes s / 2.
        sides: of the square in which each batch is trained, pixels, one drawn for each; empty: as it comes.
        deep_supervision: weights of the losses of coarser levels of the decoder, where the network has them.
        weight: of a batch of this number in the mean over the processes that train together.
    """

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(
        self,
        model: BuiltModel,
        loss: nn.Module,
        optimisation: Optimisation,
        *,
        seed: int,
        label_smoothing: float = 0.0,
        sides: Sequence[int] = (),
        deep_supervision: Sequence[float] = (),
        weight: Callable[[int], float] = lambda number: 1.0,
    ) -> None:
        super().__init__()
        self.network, self.loss = model.network, loss
        self._encoder, self._optimisation = [model.encoder], optimisation  # in a list: it is no module of its own
        self._seed, self._label_smoothing, self._sides = seed, label_smoothing, list(sides)
        self._schedule: Any = None
        self._weight, self._side_weights = weight, list(deep_supervision)
        self._batch = 0  # of the epoch
        for name in ("mean", "std"):
            values = torch.tensor(getattr(model.normalisation, name)).view(1, 3, 1, 1)
            self.register_buffer(f"_{name}", values, persistent=False)
        self.average = optimisation.average(self.network)
        self.epoch_results: dict[str, dict[str, float]] = {}

    def forward(self, pictures: torch.Tensor, **options: Any) -> Any:
        """Logits (B, C, H, W) of pictures (B, 3, H, W), 0 to 255, or grey ones: one channel against three makes three.

        Out of training, those of the mean of the weights where there is one.
        """
        network = self.network if self.training or self.average is None else self.average.module
        return network((pictures.float() / 255 - self._mean) / self._std, **options)

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a resumed run draws what an undisturbed one would (dropout, for instance)."""
        torch.manual_seed((self._seed + self.global_rank) * 1_000_003 + self.current_epoch)
        self.epoch_results = {}
        self._sums = self.no_sums()
        (encoder,) = self._encoder
        self._frozen = self.current_epoch < self._optimisation.freeze_encoder_epochs
        if encoder is not None and self._optimisation.freeze_encoder_epochs:
            encoder.requires_grad_(not self._frozen).train(not self._frozen)

    def training_step(self, batch: tuple[torch.Tensor, ...], number: int) -> torch.Tensor:
        self._batch = number
        (encoder,) = self._encoder
        if self._frozen and encoder is not None:
            encoder.eval()  # whoever set the whole network to training
        weight = self._weight(number)
        loss = self.step(batch, self._sums if weight else self.no_sums())
        return loss * weight if weight != 1 else loss

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        self._validation_sums = self.no_sums()

    def validation_step(self, batch: tuple[torch.Tensor, ...], _: int) -> None:
        self.step(batch, self._validation_sums)

    def on_validation_epoch_end(self) -> None:
        self.epoch_results["validation"] = self._validation_sums.results()
        # Already over all processes; Lightning wants to hear of it.
        self.log("validation_dice", self.epoch_results["validation"]["dice"], sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Close the epoch.

        The learning rate is stepped here and not by Lightning, which steps schedulers after the checkpoint is written,
        so that a resumed run would miss a step.
        """
        self.epoch_results["train"] = self._sums.results()
        if (following := self.current_epoch + 1) <= self._optimisation.warmup_epochs:
            self._optimisation.warm_up(self.trainer.optimizers[0], following)
        elif self._optimisation.schedule != "plateau":
            if self._schedule is not None:
                self._schedule.step()
        elif "validation" in self.epoch_results:
            self._schedule.step(self.epoch_results["validation"]["loss"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer; parts of the network with a rate of their own come last."""
        (encoder,) = self._encoder
        optimizer = self._optimisation.build(self.network, self.network.network, encoder)
        self._schedule = self._optimisation.schedule_of(optimizer)
        self._optimisation.warm_up(optimizer, 0)
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
        pictures, masks = self._resized(*batch)
        logits = self(pictures)
        loss = self._loss_of(logits, masks)
        sums.add(loss.detach(), logits.detach(), masks)
        return loss

    def no_sums(self) -> EpochSums:
        """To which the batches of an epoch are added."""
        return EpochSums(self.device)

    def _loss_of(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        truth = self._smoothed(masks)
        loss = self.loss(logits, truth)
        if self.training and self.network.sides is not None:
            levels = self.network.sides(*masks.shape[2:])
            for weight, level in zip(self._side_weights, levels, strict=True):
                loss = loss + weight * self.loss(level, truth)
        return loss

    def _smoothed(self, masks: torch.Tensor) -> torch.Tensor:
        if not (self.training and self._label_smoothing):
            return masks
        return masks * (1 - self._label_smoothing) + self._label_smoothing / 2

    def _resized(self, pictures: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch at one of the sides, in training; pictures are then floating, masks keep their values."""
        if not (self.training and self._sides):
            return pictures, masks
        # Not from PyTorch's generator: after a kill the loader draws from that at another moment.
        side = self._sides[
            np.random.default_rng((self._seed, self.current_epoch, self._batch)).integers(len(self._sides))
        ]
        if (side, side) == tuple(masks.shape[2:]):
            return pictures, masks
        smaller = functional.interpolate(pictures.float(), (side, side), mode="bilinear", antialias=True)
        return smaller, functional.interpolate(masks, (side, side), mode="nearest-exact")


class OverlappingTask(SegmentationTask):
    """Training on overlapping classes, and on facts about the patient that are told beside them.

    A batch of ``data.OverlappingItems`` is grey pictures (B, 1, H, W) uint8, the bits of the classes (B, H, W) int32
    and facts (B, F) int64 in the order of the network's auxiliary heads. The loss is that of the logits plus
    ``auxiliary_weight`` times the sum of the facts' cross-entropies, each the mean over the batch's cases that have the
    fact. ``options`` are those of :class:`SegmentationTask`.
    """

    def __init__(
        self,
        model: BuiltModel,
        loss: nn.Module,
        optimisation: Optimisation,
        *,
        classes: int,
        auxiliary_weight: float = 0.005,
        **options: Any,
    ) -> None:
        super().__init__(model, loss, optimisation, **options)
        self._classes, self._auxiliary_weight = classes, auxiliary_weight
        self._facts = tuple(model.network.auxiliary) if isinstance(model.network, AuxiliaryNetwork) else ()

    def step(self, batch: tuple[torch.Tensor, ...], sums: EpochSums) -> torch.Tensor:
        pictures, bits, targets = batch
        pictures, masks = self._resized(pictures, unpack(bits, self._classes))
        logits, facts = self(pictures, auxiliary=True) if self._facts else (self(pictures), {})
        loss = self._loss_of(logits, masks)
        for number, (name, said) in enumerate(facts.items()):
            own = fact_loss(said, targets[:, number])
            sums.add_fact(name, own.detach(), said.detach(), targets[:, number])
            loss = loss + self._auxiliary_weight * own
        sums.add(loss.detach(), logits.detach(), masks)
        return loss

    def no_sums(self) -> EpochSums:
        """To which the batches of an epoch are added."""
        return EpochSums(self.device, self._facts)
