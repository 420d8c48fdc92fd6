"""The published learning rate: a linear warm-up, then a cosine that starts anew."""

from math import pi

from keras import KerasTensor, ops
from keras.optimizers.schedules import LearningRateSchedule


def rate(epochs: KerasTensor | float, *, peak: float, warmup: int, restart: int) -> KerasTensor:
    """Learning rate after ``epochs``, counted from 0, fractions included.

    It rises in proportion from 0 to ``peak`` at ``warmup``; then each ``restart`` epochs it falls along half a cosine
    from ``peak`` to 0 and jumps back: SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5) with periods of
    one length, peaks of one height and a lowest rate of 0 (t_mul 1, m_mul 1, alpha 0 in Keras's words).

    Args:
        epochs: 0 or more.
        peak: highest rate.
        warmup: epochs until the peak; 0: it begins there.
        restart: epochs from one peak to the next, 1 or more.
    """
    epochs = ops.cast(epochs, "float32")
    since_restart = ops.mod(epochs - warmup, float(restart)) / restart
    falling = 0.5 * peak * (1 + ops.cos(pi * since_restart))
    return ops.where(epochs < warmup, peak * epochs / max(warmup, 1), falling)


class WarmupCosineRestarts(LearningRateSchedule):
    """:func:`rate` step by step: epochs are the steps so far over ``steps_per_epoch``, so it moves within an epoch too.

    The first step of a warm-up has the rate 0. Keras counts a step for each batch, whether or not gradients are only
    added up after it; and the number of steps is one of the optimizer's variables, so that a checkpoint holds the
    schedule's place.
    """

    def __init__(self, steps_per_epoch: int, *, peak: float, warmup: int, restart: int) -> None:
        self.steps_per_epoch, self.peak, self.warmup, self.restart = steps_per_epoch, peak, warmup, restart

    def __call__(self, step: KerasTensor) -> KerasTensor:
        """The rate of a step, counted from 0."""
        epochs = ops.cast(step, "float32") / self.steps_per_epoch
        return rate(epochs, peak=self.peak, warmup=self.warmup, restart=self.restart)

    def get_config(self) -> dict[str, float]:
        """What it was made with."""
        return dict(vars(self))
