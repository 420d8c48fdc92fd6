"""Score a predictor of many overlapping classes on every test case, one class at a time, at each picture's own size."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from medseg.datasets import polygons
from medseg.datasets.frames import read_polygons
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import common as scoring
from medseg.evaluation.thresholds import ThresholdFit
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import crf, rle
from medseg.masks.postprocess import postprocess
from medseg.metrics.boundary import hd95, surface_dice
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import with_overlap

#: Facts of a patient that go along into ``cases.csv``, where the dataset has them.
PATIENT_COLUMNS = ("side", "sex", "age", "weight", "height")
POSTPROCESSING = ("none", "holes", "largest", "both")


class ClassMaps(Protocol):
    """Probabilities of one picture, made one class at a time: 29 maps of 2048 x 2048 would fill half a gigabyte."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> np.ndarray:
        """Probability (H, W) float32 in [0, 1] of a class, at the picture's own size."""


#: ClassMaps of a picture (H, W) uint8.
ClassPredictor = Callable[[np.ndarray], ClassMaps]


@dataclass(frozen=True)
class MaskRules:
    """From probabilities to masks.

    Attributes:
        thresholds: ``fixed`` (0.5 for every class) or ``fitted`` (for each class the one with the best mean Dice over
            the validation cases; see :mod:`medseg.evaluation.thresholds`).
        postprocess: ``none``, ``holes`` (filled), ``largest`` (component alone kept) or ``both``.
        crf: whether a dense CRF moves the probabilities to the picture's edges before the threshold.
    """

    thresholds: str = "fixed"
    postprocess: str = "none"
    crf: bool = False

    def __post_init__(self) -> None:
        if self.thresholds not in ("fixed", "fitted") or self.postprocess not in POSTPROCESSING:
            raise MedsegError(
                f"thresholds is {self.thresholds!r}, postprocess {self.postprocess!r}; expected fixed or fitted, and "
                f"one of {', '.join(POSTPROCESSING)}."
            )
        if self.crf:
            crf.require()

    def probability(self, picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """The probability that is thresholded."""
        return crf.refine(picture, probability) if self.crf else probability

    def mask(self, probability: np.ndarray, threshold: float) -> np.ndarray:
        """The mask (H, W) bool of a probability (H, W)."""
        predicted = probability > threshold
        if self.postprocess == "none":
            return predicted
        holes, largest = self.postprocess != "largest", self.postprocess != "holes"
        return postprocess(predicted, holes=holes, largest=largest).astype(bool)


def evaluate(
    run: Run, predict: ClassPredictor, dataset: PreparedDataset, *, rules: MaskRules, tolerance: float
) -> pd.DataFrame:
    """Score every test case and write ``cases.csv``, ``predictions/TEST_SET.csv`` and the record's ``evaluation``.

    Args:
        run: finished.
        predict: of its best checkpoint.
        dataset: the one it was trained on, with the fold held out that it was trained without.
        rules: from probabilities to masks.
        tolerance: of the surface Dice, pixels of the picture.

    Returns:
        One row per case and class: test_set, case_id, group, class, tp, fp, fn, tn, dice, iou, precision, recall, hd95
        (pixels), surface_dice and the columns of :data:`PATIENT_COLUMNS`.

    Raises:
        MedsegError: the dataset has no test split or is not the run's own, a network that gives no numbers, or no CRF.
    """
    cases = scoring.test_cases(run, dataset)
    classes = dataset.info["classes"]
    started = time.monotonic()
    progress = Progress(run.folder)
    thresholds, rule, fitted = np.full(len(classes), 0.5), "probability above 0.5, fixed in advance", None
    if rules.thresholds == "fitted":
        validation = dataset.split("validation")
        fit = ThresholdFit(len(classes))
        for done, (case, picture, true, maps) in enumerate(_predicted(run, predict, dataset, validation), 1):
            for number in range(len(classes)):
                refined = rules.probability(picture, maps[number])
                fit.add(number, refined, polygons.draw_class(true, number), split=case["split"])
            progress.update(done, len(validation), f"thresholds: {done} of {len(validation)} validation cases")
        fitted = fit.fit()
        thresholds = np.asarray(fitted.thresholds)
        rule = "probability above a threshold for each class, fitted on the validation cases alone"
    counted, encoded = [], []
    for done, (case, picture, true, maps) in enumerate(_predicted(run, predict, dataset, cases), 1):
        for number, name in enumerate(classes):
            probability = maps[number]
            scoring.check_finite(run, f"{case['case_id']} ({name})", probability)
            predicted = rules.mask(rules.probability(picture, probability), float(thresholds[number]))
            truth = polygons.draw_class(true, number)
            identity = {"test_set": case["test_set"], "class": name}
            counted.append(
                {
                    **identity,
                    "case_id": case["case_id"],
                    "group": case["group"],
                    **confusion_counts(predicted, truth)._asdict(),
                    "hd95": hd95(predicted, truth),
                    "surface_dice": surface_dice(predicted, truth, tolerance),
                    **{column: _known(case[column]) for column in PATIENT_COLUMNS if column in case},
                }
            )
            encoded.append({**identity, "image_name": case["image_name"], "rle": rle.encode(predicted)})
        progress.update(done, len(cases), f"scored {done} of {len(cases)} test cases")
    table = with_overlap(scoring.case_table(counted))
    inference = {"rules": asdict(rules), "surface_tolerance_px": tolerance}
    if fitted is not None:
        inference["thresholds"] = dict(zip(classes, map(float, thresholds), strict=True))
    scoring.write(
        run, table, encoded, cases["case_id"], started, threshold=_readable(thresholds), rule=rule, **inference
    )
    return table


def _predicted(
    run: Run, predict: ClassPredictor, dataset: PreparedDataset, cases: pd.DataFrame
) -> Iterator[tuple[Any, np.ndarray, polygons.PolygonSet, ClassMaps]]:
    """For each case its row, picture (H, W) uint8, true polygons and predicted maps."""
    for _, case in cases.iterrows():
        picture, true = read_polygons(dataset, case)
        maps = predict(picture)
        if len(maps) != len(dataset.info["classes"]):
            raise ValueError(
                f"run {run.id} predicts {len(maps)} classes, the dataset has {len(dataset.info['classes'])}"
            )
        yield case, picture, true, maps


def _known(value: Any) -> Any:
    """A fact of the index: NaN for an empty field, a number where it is one."""
    if value == "":
        return np.nan
    try:
        return float(value)
    except ValueError:
        return value


def _readable(thresholds: np.ndarray) -> float | str:
    low, high = float(thresholds.min()), float(thresholds.max())
    return low if low == high else f"{low:.2f} to {high:.2f}"
