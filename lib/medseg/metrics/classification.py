"""Measures of classes per image, from a confusion matrix; and the class that a segmented image belongs to."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from medseg.errors import MedsegError


class Classification(NamedTuple):
    """How well images were classified.

    Attributes:
        accuracy: share of images with the right class.
        recall, precision, f1: macro averages, in [0, 1]: the plain mean over the classes that occur in truth (recall)
            or in truth or prediction (precision and F1). A class that was never predicted has precision 0.
        matrix: int64 (C, C), rows truth, columns prediction.
    """

    accuracy: float
    recall: float
    precision: float
    f1: float
    matrix: np.ndarray


def classify(true: Sequence[int], predicted: Sequence[int], classes: int) -> Classification:
    """Compare classes 0 to ``classes - 1`` of the same images (macro averages: Sokolova and Lapalme 2009, Inf. Process.
    Manag. 45:427, table 3). Raises MedsegError: there is no image. ValueError: a different number of entries, or a
    class out of range.
    """
    if len(true) == 0:
        raise MedsegError("There is no image to classify. Check that the split has cases.")
    both = np.concatenate([np.asarray(true), np.asarray(predicted)])
    if len(true) != len(predicted) or both.min() < 0 or both.max() >= classes:
        raise ValueError(f"expected two lists of classes 0 to {classes - 1} of the same length")
    matrix = confusion_matrix(true, predicted, labels=range(classes))
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    return Classification(
        float(accuracy_score(true, predicted)),
        float(recall_score(true, predicted, labels=np.unique(true), **macro)),
        float(precision_score(true, predicted, **macro)),
        float(f1_score(true, predicted, **macro)),
        matrix,
    )


def class_of_mask(mask: np.ndarray, classes: int) -> int:
    """The class of an image: that of most of its pixels other than background, 0 where there are none.

    ``mask`` is (H, W) of integers, 0 background, 1 to ``classes - 1``. Ties go to the lower class.
    """
    counts = np.bincount(mask.ravel(), minlength=classes)[1:]
    return int(counts.argmax()) + 1 if counts.any() else 0
