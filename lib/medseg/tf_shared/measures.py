"""Dice and IoU as the histories of all studies record them: means over pictures."""

from collections.abc import Callable

from medseg.tf_shared import keras, tf

#: From truth and logits as the network and the batches give them to float32 (B, H, W) of {0, 1}: truth and prediction.
Masks = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class MeanOverPictures(keras.metrics.Metric):
    """Mean over pictures of Dice, 2 TP / (2 TP + FP + FN), or IoU, TP / (TP + FP + FN), of integer counts of pixels.

    Pictures that are empty in truth and prediction are left out; NaN where none is left. ``name`` is ``dice`` or
    ``iou``.
    """

    def __init__(self, name: str, masks: Masks) -> None:
        super().__init__(name=name, dtype="float64")
        self._masks = masks
        self._sum, self._scored = (
            self.add_weight(name=part, shape=(), initializer="zeros", dtype="float64") for part in ("sum", "scored")
        )

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None) -> None:
        truth, predicted = self._masks(y_true, y_pred)
        # Sums of ones are exact in float32 up to 2^24 pixels; GPUs have no fast integer sums in TensorFlow.
        tp, positive, true = (
            tf.cast(tf.reduce_sum(ones, (1, 2)), tf.float64) for ones in (predicted * truth, predicted, truth)
        )
        total = positive + true
        measure = 2 * tp / total if self.name == "dice" else tp / (total - tp)
        self._sum.assign_add(tf.reduce_sum(tf.where(total > 0, measure, 0)))
        self._scored.assign_add(tf.reduce_sum(tf.cast(total > 0, tf.float64)))

    def result(self) -> tf.Tensor:
        return tf.convert_to_tensor(self._sum) / tf.convert_to_tensor(self._scored)
