"""Optimizers of the Keras of the open room, by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from medseg.errors import MedsegError
from medseg.experiments import call_text
from medseg.experiments.schedules import TO_THE_END
from medseg.tf_shared import keras

#: By the name that a parameter gives; those that wrap others, or want single layers, cannot train here.
OPTIMIZERS: dict[str, Any] = {
    name.lower(): kind
    for name, kind in vars(keras.optimizers).items()
    if inspect.isclass(kind)
    and issubclass(kind, keras.optimizers.Optimizer)
    and kind is not keras.optimizers.Optimizer
    and name not in ("LossScaleOptimizer", "MultiOptimizer", "Muon")
}
_OWN = {
    "learning_rate": "learning_rate",
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), "gradient_clip"),
}
_HIDDEN = (
    "name", "kwargs", "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
    "gradient_accumulation_steps", "jit_compile",
)  # fmt: skip


def build(written: str, learning_rate: Any, gradient_clip: float = 0.0, **options: Any) -> Any:
    """The optimizer that ``written`` names: ``adamw(weight_decay=0.01)``, ``sgd(momentum=0.9)``.

    ``gradient_clip`` is the greatest norm of all gradients together, 0 for none; ``options`` are further arguments. A
    :class:`MedsegError` where there is no such optimizer, or it does not have a setting.
    """
    kind, settings = call_text.read_optimizer(written, OPTIMIZERS, _OWN, _HIDDEN)
    clip = {"global_clipnorm": gradient_clip} if gradient_clip else {}
    try:
        return kind(learning_rate, **settings, **clip, **options)
    except (TypeError, ValueError) as error:
        raise call_text.refused(written, error) from error


def check(parameters: Mapping[str, Any]) -> None:
    """Refuse optimizers, numbers and schedules that cannot be: a :class:`MedsegError`."""
    build(parameters.get("optimizer", "adam"), parameters["learning_rate"])
    schedule, warmup = parameters.get("schedule", ""), parameters.get("warmup_epochs", 0)
    if schedule in TO_THE_END and (parameters.get("max_steps") or parameters.get("max_minutes")):
        raise MedsegError(
            f"schedule {schedule!r} falls until the last epoch, but steps or minutes end this training earlier, so "
            "that the rate would hardly fall. Take another schedule, or limit max_epochs alone."
        )
    if schedule == "onecycle" and warmup:
        raise MedsegError("schedule 'onecycle' begins with a warm-up of its own. Set warmup_epochs to 0.")
    if warmup >= parameters["max_epochs"] > 1 or warmup < 0:
        raise MedsegError(
            f"warmup_epochs is {warmup}, expected 0 or more, and less than the {parameters['max_epochs']} epochs "
            "(max_epochs)."
        )
    if (clip := parameters.get("gradient_clip", 0.0)) < 0:
        raise MedsegError(f"gradient_clip is {clip:g}, expected 0 or more.")
    if not 0 <= (smoothing := parameters.get("label_smoothing", 0.0)) < 1:
        raise MedsegError(f"label_smoothing is {smoothing:g}, expected a share from 0 to below 1, such as 0.1.")
