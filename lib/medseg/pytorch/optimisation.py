"""How weights are changed: the optimizer, the learning rate over the epochs, and the mean of the weights."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medseg.errors import MedsegError
from medseg.experiments import call_text
from medseg.experiments.schedules import POWER, STEP_FACTOR, TO_THE_END
from medseg.names import did_you_mean

#: The learning rate over the epochs.
SCHEDULES = ("plateau", "cosine", "constant", "onecycle", "polynomial", "step")

#: By the name that a parameter gives; those that want a closure or sparse gradients cannot train here.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name.lower(): kind
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
    and name not in ("LBFGS", "SparseAdam", "Muon")
}
_OWN = {"lr": "learning_rate", "weight_decay": "weight_decay"}  # have parameters of their own


@dataclass(frozen=True)
class Optimisation:
    """What the parameters of a training say of it; those that are left out have these defaults.

    Attributes:
        optimizer: a name of :data:`OPTIMIZERS`, or with settings: ``sgd(momentum=0.9, nesterov=True)``.
        schedule: ``plateau`` (factor 0.5 when validation loss has not fallen for 5 validations), ``cosine`` (warm
            restarts, Loshchilov and Hutter, arXiv 1608.03983), ``constant``, ``onecycle`` (Smith and Topin, arXiv
            1708.07120), ``polynomial`` ((1 - epoch / epochs)^0.9) or ``step`` (a tenth after every ``restart_epochs``).
        restart_epochs, restart_factor: of ``cosine``, epochs to the first restart, and the factor by which each further
            stretch is longer than the one before.
        warmup_epochs: over which the rate rises in equal steps; the schedule begins after them.
        part_rates: learning rates of parts of the network, ``encoder=1e-5``; a part is a module at the top of it.
        freeze_encoder_epochs: first epochs in which the encoder is left as it is, its normalisation statistics too.
        gradient_clip: greatest norm of all gradients together; 0: none.
        ema: decay of a running mean of the weights after each step, which is validated, kept and predicts; 0: none.
        max_epochs: for the schedules that end with the last epoch.
    """

    learning_rate: float
    weight_decay: float
    schedule: str
    optimizer: str = "adam"
    backbone_learning_rate: float = 0.0
    restart_epochs: int = 10
    restart_factor: int = 1
    warmup_epochs: int = 0
    part_rates: tuple[str, ...] = ()
    freeze_encoder_epochs: int = 0
    gradient_clip: float = 0.0
    ema: float = 0.0
    max_epochs: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Optimisation":
        """Those of a training notebook's parameters."""
        return cls(
            learning_rate=parameters["learning_rate"],
            weight_decay=parameters["weight_decay"],
            schedule=parameters["schedule"],
            optimizer=parameters.get("optimizer", "adam"),
            backbone_learning_rate=parameters.get("backbone_learning_rate", 0.0),
            restart_epochs=parameters.get("restart_epochs", 10),
            restart_factor=parameters.get("restart_factor", 1),
            warmup_epochs=parameters.get("warmup_epochs", 0),
            part_rates=tuple(parameters.get("part_rates", ())),
            freeze_encoder_epochs=parameters.get("freeze_encoder_epochs", 0),
            gradient_clip=parameters.get("gradient_clip", 0.0),
            ema=parameters.get("ema", 0.0),
            max_epochs=parameters["max_epochs"],
        )

    def check(self, limited: bool) -> None:
        """MedsegError where something cannot be; ``limited``: whether steps or minutes end the training."""
        read_optimizer(self.optimizer)
        if self.schedule not in SCHEDULES:
            raise MedsegError(f"There is no schedule {self.schedule!r}. Choose one of: {', '.join(SCHEDULES)}.")
        if limited and self.schedule in TO_THE_END:
            raise MedsegError(
                f"schedule {self.schedule!r} falls until the last epoch, but steps or minutes end this training "
                "earlier, so that the rate would hardly fall. Take another schedule, or limit max_epochs alone."
            )
        if self.schedule == "onecycle" and self.warmup_epochs:
            raise MedsegError("schedule 'onecycle' begins with a warm-up of its own. Set warmup_epochs to 0.")
        if self.warmup_epochs >= self.max_epochs > 1 or self.warmup_epochs < 0:
            raise MedsegError(
                f"warmup_epochs is {self.warmup_epochs}, expected 0 or more, and less than the {self.max_epochs} "
                "epochs (max_epochs)."
            )
        if not 0 <= self.ema < 1:
            raise MedsegError(f"ema is {self.ema:g}, expected a decay from 0 (none) to below 1, such as 0.999.")
        for name in ("gradient_clip", "freeze_encoder_epochs"):
            if getattr(self, name) < 0:
                raise MedsegError(f"{name} is {getattr(self, name):g}, expected 0 or more.")

    def rates(self, network: nn.Module, encoder: nn.Module | None) -> dict[str, float]:
        """Learning rate by part; MedsegError for what is no part, or no rate."""
        found = {"encoder": self.backbone_learning_rate} if self.backbone_learning_rate else {}
        parts = [name for name, module in network.named_children() if any(True for _ in module.parameters())]
        for text in self.part_rates:
            name, _, rate = (word.strip() for word in text.partition("="))
            if name not in parts:
                raise MedsegError(f"part_rates names {name!r}.{did_you_mean(name, parts)} Parts: {', '.join(parts)}.")
            try:
                found[name] = float(rate)
            except ValueError:
                found[name] = math.nan
            if not 0 < found[name] < math.inf:
                raise MedsegError(f"part_rates gives {name} the rate {rate!r}, expected a number such as {name}=1e-5.")
        if "encoder" in found and encoder is None:
            raise MedsegError(
                "This architecture has no encoder of its own; set backbone_learning_rate to 0 and leave it out of "
                "part_rates, which trains all of it at learning_rate."
            )
        return found

    def build(self, whole: nn.Module, network: nn.Module, encoder: nn.Module | None) -> torch.optim.Optimizer:
        """The optimizer of all parameters of ``whole``; parts of ``network`` with a rate of their own come last."""
        kind, settings = read_optimizer(self.optimizer)
        own: dict[int, float] = {}
        for name, rate in self.rates(network, encoder).items():
            part = encoder if name == "encoder" and encoder is not None else getattr(network, name)
            own |= {id(parameter): rate for parameter in part.parameters()}
        parameters = list(whole.parameters())
        groups: list[dict[str, Any]] = [{"params": [p for p in parameters if id(p) not in own]}]
        for rate in dict.fromkeys(own.values()):
            groups.append({"params": [p for p in parameters if own.get(id(p)) == rate], "lr": rate})
        if "weight_decay" in inspect.signature(kind).parameters:
            settings = {**settings, "weight_decay": self.weight_decay}
        # One kernel a step instead of seven passes over all weights. Lightning does not clip with it under fp16.
        if "fused" in inspect.signature(kind).parameters and not self.gradient_clip:
            settings = {"fused": True, **settings}
        return kind([group for group in groups if group["params"]], lr=self.learning_rate, **settings)

    def schedule_of(self, optimizer: torch.optim.Optimizer) -> Any:
        """What changes the rates of ``optimizer`` after an epoch, from the end of the warm-up on; None: nothing."""
        epochs = max(1, self.max_epochs - self.warmup_epochs)
        if self.schedule == "plateau":
            return lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
        if self.schedule == "cosine":
            return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, self.restart_epochs, self.restart_factor)
        if self.schedule == "step":
            return lr_scheduler.StepLR(optimizer, self.restart_epochs, STEP_FACTOR)
        if self.schedule == "polynomial":
            return lr_scheduler.LambdaLR(optimizer, lambda epoch: max(0.0, 1 - epoch / epochs) ** POWER)
        if self.schedule == "onecycle":
            rates = [group["lr"] for group in optimizer.param_groups]
            return lr_scheduler.OneCycleLR(optimizer, rates, total_steps=epochs + 1)
        return None

    def warm_up(self, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        """Set the rates of an ``epoch`` (from 0) of the warm-up, and the full ones after it."""
        if epoch > self.warmup_epochs or not self.warmup_epochs:
            return
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * min(1.0, (epoch + 1) / (self.warmup_epochs + 1))

    def average(self, network: nn.Module) -> AveragedModel | None:
        """The running mean of the weights, and of the statistics of normalisation; None where none is asked for."""
        if not self.ema:
            return None
        return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(self.ema), use_buffers=True)


def read_optimizer(written: str) -> tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]:
    """The optimizer and its settings: ``adamw``, ``sgd(momentum=0.9)``.

    Raises MedsegError: no optimizer of that name (the nearest is named), an unknown setting, or a value it refuses.
    """
    kind, settings = call_text.read_optimizer(written, OPTIMIZERS, _OWN, ("params",))
    try:
        kind([nn.Parameter(torch.zeros(1))], lr=1e-3, **settings)
    except (TypeError, ValueError) as error:
        raise call_text.refused(written, error) from error
    return kind, settings


def scales(factors: Sequence[float], resolution: int, stride: int) -> list[int]:
    """Sides in pixels, multiples of ``stride``, for training at several ``factors`` of the resolution.

    Raises MedsegError: a factor from which no picture can be made, or that is far from 1.
    """
    if wrong := [factor for factor in factors if not 0.25 <= factor <= 4]:
        raise MedsegError(f"multiscale holds {wrong[0]:g}; expected factors of the resolution from 0.25 to 4.")
    return [max(stride, stride * round(resolution * factor / stride)) for factor in factors]
