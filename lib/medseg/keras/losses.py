"""The published loss, half cross-entropy and half Dice, and how well the lesion is found, whatever its phase.

All take truth (B, H, W, 1) of class numbers in any type and logits (B, H, W, C), background first; they compute in
float32.
"""

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from medseg.tf_shared.measures import MeanOverPictures

SMOOTHING = 1e-5

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(truth: tf.Tensor, logits: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Categorical cross-entropy, -log softmax(logits) at the true class, mean over all pixels.

    ``smoothing`` s: of C classes the true one counts 1 - s + s / C, each other s / C.
    """
    logits = tf.cast(logits, tf.float32)
    if smoothing:
        classes = logits.shape[-1]
        soft = tf.one_hot(_numbers(truth), classes) * (1 - smoothing) + smoothing / classes
        per_pixel = tf.nn.softmax_cross_entropy_with_logits(soft, logits)
    else:
        per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(_numbers(truth), logits)
    # 0 for a batch of none, which a device may be left with when several share one.
    return tf.math.divide_no_nan(tf.reduce_sum(per_pixel), tf.cast(tf.size(per_pixel), tf.float32))


def dice(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean over all classes, background included, of 1 - (2 sum(p t) + s) / (sum(p^2) + sum(t^2) + s).

    p = softmax(logits), t the truth in {0, 1}, sums over all pixels of the batch, s = 1e-5. Squared denominators:
    Milletari et al. 2016 (arXiv 1606.04797, section 3), averaged over classes as in TransUNet. Where several devices
    share a batch, each takes the sums over its own part.
    """
    probability = tf.nn.softmax(tf.cast(logits, tf.float32))
    one_hot = tf.one_hot(_numbers(truth), logits.shape[-1])  # made here: class numbers travel to the device as bytes
    overlap = tf.reduce_sum(probability * one_hot, (0, 1, 2))
    total = tf.reduce_sum(probability**2, (0, 1, 2)) + tf.reduce_sum(one_hot, (0, 1, 2))  # t^2 is t
    return tf.reduce_mean(1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING))


def build_loss(cross_entropy_weight: float = 0.5, dice_weight: float = 0.5, label_smoothing: float = 0.0) -> Loss:
    """The weighted sum of :func:`cross_entropy`, with smoothed labels, and :func:`dice`; a weight of 0 leaves one out.

    ValueError: a weight is negative, or both are 0.
    """
    if min(cross_entropy_weight, dice_weight) < 0 or not cross_entropy_weight + dice_weight:
        raise ValueError(f"the weights must be 0 or more and not both 0, got {cross_entropy_weight}, {dice_weight}")

    def loss(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        parts = [
            weight * part(truth, logits)
            for weight, part in (
                (cross_entropy_weight, partial(cross_entropy, smoothing=label_smoothing)),
                (dice_weight, dice),
            )
            if weight
        ]
        return tf.add_n(parts)

    return loss


def _numbers(truth: tf.Tensor) -> tf.Tensor:
    return tf.cast(truth[..., 0], tf.int32)


def lesion(truth: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the lesion is and where it is predicted, float32 (B, H, W) of {0, 1}: all classes but the background.

    A pixel is predicted where the probabilities of these classes (softmax over all) add up to more than 0.5.
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
        truth, predicted = lesion(y_true, y_pred)
        # Sums of ones over a picture are exact in float32 up to 2^24 pixels, those over a split in float64.
        tp, positive, true = (
            tf.reduce_sum(tf.cast(tf.reduce_sum(ones, (1, 2)), tf.float64))
            for ones in (predicted * truth, predicted, truth)
        )
        pixels = tf.cast(tf.size(truth), tf.float64)
        self._counts.assign_add(tf.stack([tp, positive - tp, true - tp, pixels - positive - true + tp]))

    def result(self) -> tf.Tensor:
        """The mean of TP / (TP + FP + FN) and TN / (TN + FP + FN)."""
        tp, fp, fn, tn = tf.unstack(tf.convert_to_tensor(self._counts))
        wholes = tf.stack([tp + fp + fn, tn + fp + fn])
        shares = tf.math.divide_no_nan(tf.stack([tp, tn]), wholes)
        return tf.reduce_sum(shares) / tf.reduce_sum(tf.cast(wholes > 0, tf.float64))


def measures() -> list[keras.metrics.Metric]:
    """The figures of an epoch besides the loss; ``dice`` and ``iou`` as in all studies."""
    return [MeanOverPictures("dice", lesion), MeanOverPictures("iou", lesion), BinaryIoU()]
