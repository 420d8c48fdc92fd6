"""The measures that the polyp field reports, computed by ``py_sod_metrics`` under PraNet's evaluation rules.

The rules are those of the scripts published with PraNet (Fan et al. 2020, MICCAI, LNCS 12266:263): ``MyTest.py``, which
saves predictions, and ``main.m`` and ``Fmeasure_calu.m`` of its evaluation tool, which score them.

- Prediction: the probability at the picture's own size, stretched to 0..1 picture by picture and kept with 8 bits
  (``MyTest.py``; ``mapminmax`` in ``main.m``). A map of one value cannot be stretched and stays as it is. Stretching
  raises a faint finding to full confidence, which plain Dice at a fixed threshold does not.
- Thresholds: 256, from 1 down to 0 in steps of 1/255; a pixel is positive where the map is at or above the threshold.
  At threshold 0 every pixel is positive, so that a perfect prediction stays below 1 in ``mdice_thresholds``,
  ``miou_thresholds`` and ``e_mean``. ``main.m`` takes "above" for the E-measure alone; ``py_sod_metrics`` takes "at or
  above" there too, as its author asked and the authors of PraNet did in their later toolbox (CODToolbox, issue 1).
- Test set: means over its cases. The maximum of the E-measure is that of the mean curve over the thresholds, not the
  mean of the cases' maxima (``maxEm`` in ``main.m``), which is why a :class:`SaliencySummary` keeps the curve.
- Empty truth: not scored, NaN in every column. The field's test sets hold no such picture, PraNet's scripts have no
  meaningful rule for it (stretching turns the faintest noise into a full prediction), and Dice at a fixed threshold
  reports the false positives.
"""

import numpy as np

LEVELS = 256
"""Grey levels that a prediction is kept with, and the number of thresholds, which ``py_sod_metrics`` fixes."""

RULE = (
    f"PraNet: probability at native size, stretched to 0..1 per picture, {LEVELS} levels, "
    f"{LEVELS} thresholds from 1 to 0, positive at or above the threshold"
)
"""The rules in a line, for the record of a run."""

MEASURES = {
    "mdice_thresholds": "Dice, mean over the thresholds (Fmeasure_calu.m of PraNet)",
    "miou_thresholds": "intersection over union, mean over the thresholds (Fmeasure_calu.m of PraNet)",
    "weighted_f": "weighted F-measure of the map, without threshold, beta 1 (Margolin et al. 2014, CVPR)",
    "s_measure": "structure measure of the map, without threshold, alpha 0.5 (Fan et al. 2017, ICCV)",
    "e_mean": "enhanced-alignment measure (Fan et al. 2018, IJCAI), mean over the thresholds",
    "e_max": "enhanced-alignment measure at the best threshold (that of a test set: where the mean over its cases is "
    "greatest)",
    "mae": "mean absolute difference of map and truth, without threshold (Perazzi et al. 2012, CVPR)",
}
"""Columns that :meth:`SaliencySummary.add` gives, in this order, and the rule of each. Of ``mae`` less is better."""


class SaliencySummary:
    """The measures of a test set, fed case by case."""

    def __init__(self) -> None:
        self._cases: list[dict[str, float]] = []
        self._e_curves = np.zeros(LEVELS)

    def add(self, probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """Score one case: the columns of :data:`MEASURES`, of a probability (H, W) and a truth (H, W).

        In [0, 1], except that the E-measure divides by one pixel less than there are, as its authors do, and reaches
        H W / (H W - 1). NaN everywhere for an empty truth. Raises ValueError: shapes differ or are not two-dimensional,
        the probability leaves [0, 1] or is not a number, or the truth is not a mask of bool or of uint8 0 and 1.
        """
        _check(probability, truth)
        if not truth.any():
            return dict.fromkeys(MEASURES, float("nan"))
        values, e_curve = _measure(probability, truth)
        self._cases.append(values)
        self._e_curves += e_curve
        return values

    def summary(self) -> dict[str, float]:
        """The columns of :data:`MEASURES` for the test set, NaN where no case was scored, and ``n_scored``."""
        n = len(self._cases)
        if n == 0:
            return {**dict.fromkeys(MEASURES, float("nan")), "n_scored": 0}
        means = {name: sum(case[name] for case in self._cases) / n for name in MEASURES}
        return {**means, "e_max": float(self._e_curves.max() / n), "n_scored": n}


def _measure(probability: np.ndarray, truth: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """The measures of a case, and its E-measure at each threshold from 1 down to 0."""
    # Imported on use: it brings scikit-image and scikit-learn along and takes seconds.
    from py_sod_metrics import MAE, DICEHandler, Emeasure, FmeasureV2, IOUHandler, Smeasure, WeightedFmeasure

    overlap = FmeasureV2({"dice": DICEHandler(True, False), "iou": IOUHandler(True, False)})
    weighted, structure, alignment, error = WeightedFmeasure(beta=1), Smeasure(alpha=0.5), Emeasure(), MAE()
    saved, truth = as_saved(probability), truth.astype(bool)
    for measure in (overlap, weighted, structure, alignment, error):
        measure.step(saved, truth, normalize=False)
    curves = overlap.get_results()
    e_curve = alignment.get_results()["em"]["curve"]
    values = {
        "mdice_thresholds": curves["dice"]["dynamic"].mean(),
        "miou_thresholds": curves["iou"]["dynamic"].mean(),
        "weighted_f": weighted.get_results()["wfm"],
        "s_measure": structure.get_results()["sm"],
        "e_mean": e_curve.mean(),
        "e_max": e_curve.max(),
        "mae": error.get_results()["mae"],
    }
    return {name: float(value) for name, value in values.items()}, e_curve


def as_saved(probability: np.ndarray) -> np.ndarray:
    """The map that is scored: stretched to 0..1, in :data:`LEVELS` grey levels, float64."""
    values = probability.astype(np.float64)
    low, high = values.min(), values.max()
    if high > low:
        values = (values - low) / (high - low)
    return np.rint(values * (LEVELS - 1)) / (LEVELS - 1)


def _check(probability: np.ndarray, truth: np.ndarray) -> None:
    if probability.ndim != 2 or probability.shape != truth.shape:
        raise ValueError(f"expected a map and a mask (H, W) of one shape, got {probability.shape} and {truth.shape}")
    if not (probability.min() >= 0 and probability.max() <= 1):  # so written, it catches NaN too
        raise ValueError(f"probabilities must be in [0, 1], got {probability.min():g} to {probability.max():g}")
    if truth.dtype != bool and (truth.dtype != np.uint8 or truth.max() > 1):
        raise ValueError(f"truth must be bool or uint8 with 0 and 1 only, got {truth.dtype} up to {truth.max()}")
