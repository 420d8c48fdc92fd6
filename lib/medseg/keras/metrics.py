"""How well the lesion is found, whatever its phase: from counts of pixels over a whole split."""

from collections.abc import Sequence

import keras
import tensorflow as tf

MEASURES = ("dice", "iou", "binary_iou")
THRESHOLD = 0.5
CLASS_MASK = (0, 1, 1, 1, 1)


class LesionOverlap(keras.metrics.Metric):
    """One measure of a binary segmentation: the classes of ``class_mask`` are merged into one, the lesion.

    A pixel is true where its class is one of them, and predicted where their probabilities (softmax over all classes)
    add up to more than ``threshold``. Pixels are counted over all pictures, so that large lesions weigh more.

    Args:
        name: ``iou``, the lesion's own, TP / (TP + FP + FN); ``dice``, 2 TP / (2 TP + FP + FN); both NaN where no
            lesion is true or predicted. Or ``binary_iou``, the published measure: the mean of the lesion's IoU and the
            background's, TN / (TN + FP + FN), of those of the two that occur. Background counts, so that a network
            that never finds anything has nearly 0.5.
        threshold: of the lesion's probability, in [0, 1).
        class_mask: 1 for each class that belongs to the lesion.

    Raises:
        ValueError: there is no such measure.
    """

    def __init__(self, name: str, *, threshold: float = THRESHOLD, class_mask: Sequence[int] = CLASS_MASK) -> None:
        if name not in MEASURES:
            raise ValueError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
        super().__init__(name=name, dtype="float64")
        self._threshold, self._class_mask = threshold, tuple(class_mask)
        self._counts = self.add_variable(shape=(4,), initializer="zeros", dtype="float64", name="counts")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None) -> None:
        """Count one batch: class numbers (B, H, W, 1), logits (B, H, W, C)."""
        lesion = tf.constant(self._class_mask, tf.float32)
        truth = tf.gather(lesion, tf.cast(y_true[..., 0], tf.int32))
        probability = tf.reduce_sum(tf.nn.softmax(tf.cast(y_pred, tf.float32)) * lesion, -1)
        predicted = tf.cast(probability > self._threshold, tf.float32)
        # Sums of ones over a picture are exact in float32 up to 2^24 pixels, those over a split in float64.
        tp, positive, true = (
            tf.reduce_sum(tf.cast(tf.reduce_sum(ones, (1, 2)), tf.float64))
            for ones in (predicted * truth, predicted, truth)
        )
        pixels = tf.cast(tf.size(truth), tf.float64)
        self._counts.assign_add(tf.stack([tp, positive - tp, true - tp, pixels - positive - true + tp]))

    def result(self) -> tf.Tensor:
        """The measure over all that was counted."""
        tp, fp, fn, tn = tf.unstack(tf.convert_to_tensor(self._counts))
        if self.name == "dice":
            return 2 * tp / (2 * tp + fp + fn)
        if self.name == "iou":
            return tp / (tp + fp + fn)
        wholes = tf.stack([tp + fp + fn, tn + fp + fn])
        shares = tf.math.divide_no_nan(tf.stack([tp, tn]), wholes)
        return tf.reduce_sum(shares) / tf.reduce_sum(tf.cast(wholes > 0, tf.float64))
