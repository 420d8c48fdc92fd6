"""One step of training or validation, on one device or shared by several, in any precision; the learning rate.

Not Keras's own ``fit``: it cannot add up gradients where several devices share a batch, nor take a batch that they
cannot share evenly.
"""

from collections.abc import Callable, Iterator
from math import log, pi
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from medseg.keras.losses import Loss, measures


def rate(
    epochs: KerasTensor | float, *, peak: float, warmup: int, restart_epochs: int, restart_factor: int = 1
) -> KerasTensor:
    """Learning rate after ``epochs`` (0 or more, fractions included).

    It rises in proportion from 0 to ``peak`` at ``warmup`` (0: it begins there); then it falls along half a cosine from
    ``peak`` to 0 and jumps back, again and again: SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5) with
    peaks of one height and a lowest rate of 0 (m_mul 1, alpha 0 in Keras's words). The second peak comes
    ``restart_epochs`` after the first; each period is ``restart_factor`` times as long as the one before; both are 1 or
    more.
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


class WarmupCosineRestarts(keras.optimizers.schedules.LearningRateSchedule):
    """:func:`rate` with its ``options``, step by step; epochs are the steps so far over ``steps_per_epoch``.

    So it moves within an epoch too; the first step of a warm-up has the rate 0. Keras counts a step for each batch,
    whether or not gradients are only added up after it; and the number of steps is one of the optimizer's variables, so
    that a checkpoint holds the schedule's place.
    """

    def __init__(self, steps_per_epoch: int, **options: Any) -> None:
        self.steps_per_epoch, self.options = steps_per_epoch, options

    def __call__(self, step: KerasTensor) -> KerasTensor:
        return rate(ops.cast(step, "float32") / self.steps_per_epoch, **self.options)


class Steps:
    """Trains ``network``, built within the scope of its devices, batch by batch and keeps the figures of the epoch.

    ``loss`` is of truth and logits, ``training_loss`` that which is trained on (None: the same), ``schedule`` the
    learning rate over the changes of the weights, ``optimizer`` makes one of it (None: SGD with momentum 0.9). These
    change once every ``accumulate`` steps, and at an epoch's end, by the mean gradient; ``half``:
    gradients need the scaled loss of fp16; ``xla``: the steps are compiled.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: Loss,
        schedule: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        optimizer: Callable[[Any], keras.optimizers.Optimizer] | None = None,
        training_loss: Loss | None = None,
        accumulate: int = 1,
        half: bool = False,
        xla: bool = False,
    ) -> None:
        self.network, self._loss, self._accumulate, self._half = network, loss, accumulate, half
        self._training_loss = training_loss or loss
        self._strategy = network.distribute_strategy
        with self._strategy.scope():
            self.optimizer = optimizer(schedule) if optimizer else keras.optimizers.SGD(schedule, momentum=0.9)
            if half:
                self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
            self.optimizer.build(network.trainable_variables)
            self._mean_loss = keras.metrics.Mean("loss")
            self._measures = measures()
            # Each device adds up its own; they are summed once, when the weights change.
            own = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.SUM}
            self._sums = [
                tf.Variable(tf.zeros(variable.shape), trainable=False, **own)
                for variable in (network.trainable_variables if accumulate > 1 else ())
            ]
        # Steps whose gradients are in the sums. Python decides when the weights change: a condition within the graph
        # may not hold what devices do together.
        self._waiting = 0
        self._train, self._add, self._apply, self._validate = (
            self._compiled(step, xla) for step in (self._train_step, self._add_step, self._apply_step, self._test_step)
        )

    def distributed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """``batches`` as the devices share them."""
        several = self._strategy.num_replicas_in_sync > 1
        return self._strategy.experimental_distribute_dataset(batches) if several else batches

    def train(self, batches: Iterator, steps: int) -> dict[str, float]:
        """Train on ``steps`` batches; the figures are means over them as they were met."""
        self._reset()
        for step in range(1, steps + 1):
            if self._accumulate == 1:
                self._train(batches)
                continue
            self._add(batches)
            self._waiting += 1
            if self._waiting == self._accumulate or step == steps:
                self._apply(tf.constant(1 / self._waiting))
                self._waiting = 0
        return self._figures()

    def validate(self, batches: Iterator, steps: int) -> dict[str, float]:
        self._reset()
        for _ in range(steps):
            self._validate(batches)
        return self._figures()

    @property
    def learning_rate(self) -> float:
        """Of the next change; 0.001 and not 0.0010000000475."""
        return float(str(tf.convert_to_tensor(self.optimizer.learning_rate).numpy()))

    def set_rate(self, rate: float) -> None:
        """Of the changes from now on, where no schedule sets it."""
        optimizer = self.optimizer.inner_optimizer if self._half else self.optimizer
        optimizer.learning_rate.assign(rate)

    def _compiled(self, step: Callable[..., None], xla: bool) -> Callable[[Iterator | tf.Tensor], None]:
        """``step`` in a graph, on every device; it takes the next of an iterator's batches, or a number."""
        compiled = tf.function(step, jit_compile=True) if xla else step

        def run(source: Iterator | tf.Tensor) -> None:
            arguments = (source,) if tf.is_tensor(source) else next(source)
            self._strategy.run(compiled, args=arguments)

        return tf.function(run, autograph=False)

    def _gradients(self, pictures: tf.Tensor, truth: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = self.network(pictures, training=True)
            loss = self._training_loss(truth, logits)
            # The devices' gradients are summed up.
            scaled = loss / self._strategy.num_replicas_in_sync
            if self._half:
                scaled = self.optimizer.scale_loss(scaled)
        self._count(loss, truth, logits)
        return tape.gradient(scaled, [variable.value for variable in self.network.trainable_variables])

    def _train_step(self, pictures: tf.Tensor, truth: tf.Tensor) -> None:
        gradients = self._gradients(pictures, truth)
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_variables, strict=True))

    def _add_step(self, pictures: tf.Tensor, truth: tf.Tensor) -> None:
        for total, gradient in zip(self._sums, self._gradients(pictures, truth), strict=True):
            total.assign_add(gradient)

    def _apply_step(self, share: tf.Tensor) -> None:
        gradients = [total.read_value() * share for total in self._sums]
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_variables, strict=True))
        for total in self._sums:
            total.assign(tf.zeros_like(total))

    def _test_step(self, pictures: tf.Tensor, truth: tf.Tensor) -> None:
        logits = self.network(pictures, training=False)
        self._count(self._loss(truth, logits), truth, logits)

    def _count(self, loss: tf.Tensor, truth: tf.Tensor, logits: tf.Tensor) -> None:
        self._mean_loss.update_state(loss, sample_weight=tf.shape(truth)[0])
        for measure in self._measures:
            measure.update_state(truth, logits)

    def _reset(self) -> None:
        for metric in (self._mean_loss, *self._measures):
            metric.reset_state()

    def _figures(self) -> dict[str, float]:
        return {metric.name: float(metric.result()) for metric in (self._mean_loss, *self._measures)}
