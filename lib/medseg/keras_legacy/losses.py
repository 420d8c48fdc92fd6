"""Losses by name, for one class.

All take truth (B, H, W, 1) of {0, 1} in any type and float logits of the same shape.
"""

import tensorflow as tf

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


def masks(truth: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the structure is and where it is predicted, float32 (B, H, W) of {0, 1}; threshold 0.5."""
    # sigmoid(x) > 0.5 is x > 0
    return tf.cast(truth[..., 0] > 0, tf.float32), tf.cast(logits[..., 0] > 0, tf.float32)
