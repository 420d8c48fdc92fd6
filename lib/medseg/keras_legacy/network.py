"""A Keras model that can add up gradients and whose randomness in an epoch does not depend on the epochs before."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

# Dropout then draws from generators whose state can be set; the older way counts calls, which a resumed run has not
# made.
tf_keras.backend.experimental.enable_tf_random_generator()


class SegmentationModel(tf_keras.Model):
    """A functional model from normalised pictures (B, H, W, 3) to float32 logits (B, H, W, 1).

    ``fit`` and ``train_on_batch`` both go through :meth:`train_step`, so that they train the same.
    """

    _accumulation: "_Accumulation | None" = None
    label_smoothing = 0.0  # s: of the masks that are trained on 1 becomes 1 - s / 2, and 0 becomes s / 2

    def accumulate(self, steps: int, steps_per_epoch: int) -> None:
        """Change the weights once every ``steps`` steps, and at an epoch's end, by the mean gradient.

        Call it after ``compile``.
        """
        self._accumulation = _Accumulation(self.trainable_variables, steps, steps_per_epoch) if steps > 1 else None

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Make dropout draw what it draws in ``epoch`` (from 0) of any run with this ``seed``."""
        for number, layer in enumerate(self.layers):
            if isinstance(layer, tf_keras.layers.Dropout):
                state = np.random.SeedSequence([seed, epoch, number]).generate_state(1, np.uint32)
                layer._random_generator._generator.reset_from_seed(int(state[0]))
        if self._accumulation:
            self._accumulation.reset()

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of training, as Keras asks for it."""
        if not self._accumulation and not self.label_smoothing:
            return super().train_step(data)
        pictures, masks = data
        truth = masks
        if self.label_smoothing:
            truth = tf.cast(masks, tf.float32) * (1 - self.label_smoothing) + self.label_smoothing / 2
        scaling = isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            logits = self(pictures, training=True)
            loss = self.compute_loss(pictures, truth, logits)
            if scaling and self._accumulation:
                loss = self.optimizer.get_scaled_loss(loss)
        if not self._accumulation:
            self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
            return self.compute_metrics(pictures, masks, logits, None)
        gradients = tape.gradient(loss, self.trainable_variables)
        self._accumulation.add(self.optimizer.get_unscaled_gradients(gradients) if scaling else gradients)
        self._accumulation.apply_if_due(self.optimizer, self.trainable_variables)
        return self.compute_metrics(pictures, masks, logits, None)


class _Accumulation:
    """Running sums of gradients. Not tracked by Keras, so that they are no weights of the model."""

    def __init__(self, variables: Sequence[tf.Variable], steps: int, steps_per_epoch: int) -> None:
        self._sums = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in variables]
        self._done = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._steps, self._steps_per_epoch = steps, steps_per_epoch

    def reset(self) -> None:
        self._done.assign(0)

    def add(self, gradients: Sequence[tf.Tensor]) -> None:
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient / self._steps)
        self._done.assign_add(1)

    def apply_if_due(self, optimizer: tf_keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
        def apply() -> tf.Tensor:
            optimizer.apply_gradients(list(zip([total.value() for total in self._sums], variables, strict=True)))
            for total in self._sums:
                total.assign(tf.zeros_like(total))
            return tf.constant(True)

        due = (self._done % self._steps == 0) | (self._done == self._steps_per_epoch)
        tf.cond(due, apply, lambda: tf.constant(False))
