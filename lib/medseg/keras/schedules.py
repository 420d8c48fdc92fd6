"""The published learning rate: a linear warm-up, then a cosine that starts anew."""

from math import log, pi
from typing import Any

from keras import KerasTensor, ops
from keras.optimizers.schedules import LearningRateSchedule


def rate(
    epochs: KerasTensor | float, *, peak: float, warmup: int, restart_epochs: int, restart_factor: int = 1
) -> KerasTensor:
    """Learning rate after ``epochs``, counted from 0, fractions included.

    It rises in proportion from 0 to ``peak`` at ``warmup``; then it falls along half a cosine from ``peak`` to 0 and
    jumps back, again and again: SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5) with peaks of one
    height and a lowest rate of 0 (m_mul 1, alpha 0 in Keras's words).

    Args:
        epochs: 0 or more.
        peak: highest rate.
        warmup: epochs until the peak; 0: it begins there.
        restart_epochs: epochs from the first peak to the second, 1 or more.
        restart_factor: by which each period is longer than the one before, 1 or more.
    """
    epochs = ops.cast(epochs, "float32")
    if restart_factor == 1:
        since_restart = ops.mod(epochs - warmup, float(restart_epochs)) / restart_epochs
    else:  # n periods take (f^n - 1) / (f - 1) times the first
        periods = ops.maximum(epochs - warmup, 0.0) / restart_epochs
        passed = ops.floor(ops.log(periods * (restart_factor - 1) + 1) / log(restart_factor) + 1e-6)
        length = restart_factor**passed
        since_restart = (periods - (length - 1) / (restart_factor - 1)) / length
    falling = 0.5 * peak * (1 + ops.cos(pi * since_restart))
    return ops.where(epochs < warmup, peak * epochs / max(warmup, 1), falling)


class WarmupCosineRestarts(LearningRateSchedule):
    """:func:`rate` step by step: epochs are the steps so far over ``steps_per_epoch``, so it moves within an epoch too.

    The first step of a warm-up has the rate 0. Keras counts a step for each batch, whether or not gradients are only
    added up after it; and the number of steps is one of the optimizer's variables, so that a checkpoint holds the
    schedule's place.
    """

    def __init__(self, steps_per_epoch: int, **options: Any) -> None:
        """``options`` are those of :func:`rate`."""
        self.steps_per_epoch, self.options = steps_per_epoch, options

    def __call__(self, step: KerasTensor) -> KerasTensor:
        """The rate of a step, counted from 0."""
        return rate(ops.cast(step, "float32") / self.steps_per_epoch, **self.options)

    def get_config(self) -> dict[str, Any]:
        """What it was made with."""
        return {"steps_per_epoch": self.steps_per_epoch, **self.options}
