"""Losses by name, and measures over cases, for one class.

All take truth (B, H, W, 1) of {0, 1} in any type and float logits of the same shape.
"""

import tensorflow as tf
import tf_keras

SMOOTHING = 1e-5


def bce(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, mean over all pixels; from logits, so that it neither clips nor overflows."""
    truth, logits = tf.cast(truth, tf.float32), tf.cast(logits, tf.float32)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))


def dice(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with p = sigmoid(logits), sums over the whole batch, s = 1e-5.

    It is that of segmentation_models: the PyTorch half takes the sums image by image instead.
    """
    truth, probability = tf.cast(truth, tf.float32), tf.sigmoid(tf.cast(logits, tf.float32))
    overlap, total = tf.reduce_sum(probability * truth), tf.reduce_sum(probability) + tf.reduce_sum(truth)
    return 1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING)


def bce_dice(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The sum of the two; segmentation_models calls it ``bce_dice_loss``."""
    return bce(truth, logits) + dice(truth, logits)


LOSSES = {"bce+dice": bce_dice, "dice": dice, "bce": bce}


class MeanOverCases(tf_keras.metrics.Metric):
    """Mean Dice or IoU of the foreground over cases, each at threshold 0.5, from integer counts.

    Cases that are empty in truth and prediction are left out; NaN where none is left. (The ``iou_score`` of
    segmentation_models is soft, and one number for a whole batch.)

    Args:
        name: ``dice``, 2 TP / (2 TP + FP + FN), or ``iou``, TP / (TP + FP + FN).
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype=tf.float64)
        self._sum = self.add_weight(name="sum", initializer="zeros")
        self._scored = self.add_weight(name="scored", initializer="zeros")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None) -> None:
        """Count the cases of one batch."""
        # Sums of ones are exact in float32 up to 2^24 pixels; GPUs have no fast integer sums in TensorFlow.
        predicted = tf.cast(y_pred > 0, tf.float32)  # sigmoid(x) > 0.5 is x > 0
        truth = tf.cast(y_true > 0, tf.float32)
        tp = tf.cast(tf.reduce_sum(predicted * truth, (1, 2, 3)), tf.float64)
        total = tf.cast(tf.reduce_sum(predicted, (1, 2, 3)) + tf.reduce_sum(truth, (1, 2, 3)), tf.float64)
        measure = 2 * tp / total if self.name == "dice" else tp / (total - tp)
        self._sum.assign_add(tf.reduce_sum(tf.where(total > 0, measure, 0)))
        self._scored.assign_add(tf.reduce_sum(tf.cast(total > 0, tf.float64)))

    def result(self) -> tf.Tensor:
        """The mean so far."""
        return self._sum / self._scored
