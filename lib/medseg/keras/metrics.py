"""How well the lesion is found, whatever its phase: the figures of the history."""

import keras
import tensorflow as tf

from medseg.tf_shared.measures import MeanOverPictures


def lesion(truth: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the lesion is and where it is predicted, float32 (B, H, W) of {0, 1}: all classes but the background.

    A pixel is predicted where the probabilities of these classes (softmax over all) add up to more than 0.5.

    Args:
        truth: class numbers (B, H, W, 1).
        logits: (B, H, W, C), background first.
    """
    probability = tf.reduce_sum(tf.nn.softmax(tf.cast(logits, tf.float32))[..., 1:], -1)
    return tf.cast(truth[..., 0] > 0, tf.float32), tf.cast(probability > 0.5, tf.float32)


class BinaryIoU(keras.metrics.Metric):
    """The published measure: the mean of the lesion's IoU and the background's, of those of the two that occur.

    Pixels are counted over all pictures, so that large lesions weigh more. Background counts, so that a network that
    never finds anything has nearly 0.5.
    """

    def __init__(self) -> None:
        super().__init__(name="binary_iou", dtype="float64")
        self._counts = self.add_variable(shape=(4,), initializer="zeros", dtype="float64", name="counts")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None) -> None:
        """Count one batch: class numbers (B, H, W, 1), logits (B, H, W, C)."""
        truth, predicted = lesion(y_true, y_pred)
        # Sums of ones over a picture are exact in float32 up to 2^24 pixels, those over a split in float64.
        tp, positive, true = (
            tf.reduce_sum(tf.cast(tf.reduce_sum(ones, (1, 2)), tf.float64))
            for ones in (predicted * truth, predicted, truth)
        )
        pixels = tf.cast(tf.size(truth), tf.float64)
        self._counts.assign_add(tf.stack([tp, positive - tp, true - tp, pixels - positive - true + tp]))

    def result(self) -> tf.Tensor:
        """The measure over all that was counted: TP / (TP + FP + FN) and TN / (TN + FP + FN)."""
        tp, fp, fn, tn = tf.unstack(tf.convert_to_tensor(self._counts))
        wholes = tf.stack([tp + fp + fn, tn + fp + fn])
        shares = tf.math.divide_no_nan(tf.stack([tp, tn]), wholes)
        return tf.reduce_sum(shares) / tf.reduce_sum(tf.cast(wholes > 0, tf.float64))


def measures() -> list[keras.metrics.Metric]:
    """The figures of an epoch besides the loss; ``dice`` and ``iou`` as in all studies."""
    return [MeanOverPictures("dice", lesion), MeanOverPictures("iou", lesion), BinaryIoU()]
