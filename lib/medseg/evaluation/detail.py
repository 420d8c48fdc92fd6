"""What is taken in while cases are scored beside their rows: objects, and pixels by their probability."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from medseg.evaluation.kinds import Kind
from medseg.metrics import objects
from medseg.metrics.calibration import BinnedCounts

OBJECTS, CALIBRATION = FILES = ("objects.csv", "calibration.csv")
TRUE, FALSE_POSITIVE = "truth", "false_positive"  # kinds; ``true`` would be read as a number
#: Of ``objects.csv``, one row per true object and false positive; found and iou of true ones alone.
OBJECT_COLUMNS = ("test_set", "case_id", "group", "class", "kind", "pixels", "found", "iou")


class Detail:
    """Objects of every case, and of every test set the sums of :class:`medseg.metrics.calibration.BinnedCounts`.

    Args:
        kind: of label, with the dataset's classes.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._rows: list[tuple[Any, ...]] = []
        self._binned: dict[str, BinnedCounts] = defaultdict(BinnedCounts)

    def see(self, case: pd.Series, label: Any, name: str, probability: np.ndarray) -> None:
        """Take in the probability (H, W) of one of what is scored; see :data:`medseg.evaluation.rules.Watch`."""
        number = list(self._kind.scored).index(name) if len(self._kind.scored) > 1 else 0
        self._binned[case["test_set"]].add(probability, self._kind.truth(label, number))

    def match(self, case: pd.Series, name: str, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in the objects of a predicted and a true mask (H, W)."""
        identity = tuple(case[key] for key in OBJECT_COLUMNS[:3])
        matched = objects.match(predicted, truth)
        for pixels, found, iou in zip(matched.pixels, matched.found, matched.iou, strict=True):
            self._rows.append((*identity, name, TRUE, int(pixels), float(found), float(iou)))
        for pixels in matched.false_positives:
            self._rows.append((*identity, name, FALSE_POSITIVE, int(pixels), np.nan, np.nan))

    def tables(self, soft: bool = True) -> dict[str, pd.DataFrame]:
        """``objects.csv`` and, where maps have more than two values (``soft``), ``calibration.csv``."""
        found = {OBJECTS: pd.DataFrame(self._rows, columns=list(OBJECT_COLUMNS))}
        if soft and self._binned:
            tables = {name: binned.table() for name, binned in self._binned.items()}
            found[CALIBRATION] = pd.concat(tables, names=["test_set"]).reset_index(level=0)
        return found
