"""The published loss: half cross-entropy, half Dice.

All take truth (B, H, W, 1) of class numbers in any type and logits (B, H, W, C), and compute in float32.
"""

from collections.abc import Callable

import tensorflow as tf

SMOOTHING = 1e-5

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Categorical cross-entropy, -log softmax(logits) at the true class, mean over all pixels."""
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(_numbers(truth), tf.cast(logits, tf.float32))
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


def build_loss(cross_entropy_weight: float = 0.5, dice_weight: float = 0.5) -> Loss:
    """The weighted sum of :func:`cross_entropy` and :func:`dice`; a weight of 0 leaves one out.

    Raises:
        ValueError: a weight is negative, or both are 0.
    """
    if min(cross_entropy_weight, dice_weight) < 0 or not cross_entropy_weight + dice_weight:
        raise ValueError(f"the weights must be 0 or more and not both 0, got {cross_entropy_weight}, {dice_weight}")

    def loss(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        parts = [
            weight * part(truth, logits)
            for weight, part in ((cross_entropy_weight, cross_entropy), (dice_weight, dice))
            if weight
        ]
        return tf.add_n(parts)

    return loss


def _numbers(truth: tf.Tensor) -> tf.Tensor:
    return tf.cast(truth[..., 0], tf.int32)
