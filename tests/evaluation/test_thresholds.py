import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation.thresholds import GRID, ThresholdFit
from medseg.metrics.overlap import confusion_counts, dice


def brute_force(cases):
    """The threshold, with every mask made at every threshold."""
    means = []
    for threshold in GRID.tolist():
        scores = []
        for probability, truth in cases:
            tp, fp, fn, _ = confusion_counts(probability > threshold, truth)
            scores.append(dice(tp, fp, fn))
        scores = [score for score in scores if not np.isnan(score)]
        means.append(np.sum(scores) / len(scores) if scores else np.nan)
    if not any(truth.any() for _, truth in cases):
        return 0.5
    ranked = sorted(range(len(GRID)), key=lambda i: (-np.nan_to_num(round(means[i], 12), nan=-1), abs(i - 45), i))
    return float(GRID[ranked[0]])


def random_cases(rng, dtype):
    cases = []
    for _ in range(int(rng.integers(1, 6))):
        truth = (rng.random((6, 7)) < rng.choice([0, 0.3, 0.6])).astype(np.uint8)
        noise = rng.choice(GRID, truth.shape) if rng.random() < 0.5 else rng.random(truth.shape)  # often on the grid
        probability = np.where(truth, np.sqrt(noise), noise * rng.choice([0.04, 0.5, 0.9]))
        cases.append((probability.astype(dtype), truth))
    return cases


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_fit_equals_brute_force_over_the_grid(dtype):
    rng = np.random.default_rng(0)
    for _ in range(25):
        classes = [random_cases(rng, dtype) for _ in range(3)]
        fit = ThresholdFit(3)
        for number, cases in enumerate(classes):
            for probability, truth in cases:
                fit.add(number, probability, truth, split="validation")
        assert fit.fit() == [brute_force(cases) for cases in classes]


def one(probability, truth):
    fit = ThresholdFit(1)
    fit.add(0, np.array([probability], np.float32), np.array([truth], bool))
    (threshold,) = fit.fit()
    return threshold


def test_ties_go_towards_a_half_and_then_down():
    assert one([0.7, 0.2], [1, 0]) == 0.5
    assert one([0.9, 0.65], [1, 0]) == 0.65  # 0.65 is not above 0.65
    assert one([0.4, 0.1], [1, 0]) == 0.39
    # With 0.485 and 0.505 in it, thresholds up to 0.48 and from 0.51 on are equal, and 0.49 and 0.50 are worse.
    assert one([0.505, 0.485, 0.9, 0.95], [0, 1, 1, 1]) == 0.48


def test_a_class_that_is_never_present_keeps_a_half():
    fit = ThresholdFit(3)
    fit.add(0, np.array([[0.6, 0.1]]), np.zeros((1, 2), bool))
    fit.add(1, np.array([[0.4, 0.1]]), np.zeros((1, 2), bool))
    assert fit.fit() == [0.5, 0.5, 0.5]


def test_a_false_positive_on_empty_truth_counts():
    fit = ThresholdFit(1)
    fit.add(0, np.array([[0.3, 0.0]]), np.array([[True, False]]))
    assert fit.fit() == [0.29]
    for _ in range(3):
        fit.add(0, np.array([[0.6, 0.0]]), np.array([[False, False]]))
    assert fit.fit() == [0.29]


@pytest.mark.parametrize("split", ["train", "test", ""])
def test_cases_of_another_split_are_refused(split):
    with pytest.raises(MedsegError, match=f"validation cases alone, got a case of the split '{split}'"):
        ThresholdFit(1).add(0, np.zeros((1, 2)), np.zeros((1, 2), bool), split=split)


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(MedsegError, match="expected numbers in \\[0, 1\\]"):
        ThresholdFit(1).add(0, np.array([[0.2, value]]), np.zeros((1, 2), bool))


@pytest.mark.parametrize(
    ("number", "probability", "truth", "message"),
    [
        (2, np.zeros((1, 2)), np.zeros((1, 2), bool), "class below 2, got 2"),
        (-1, np.zeros((1, 2)), np.zeros((1, 2), bool), "class below 2, got -1"),
        (0, np.zeros((1, 2)), np.zeros((1, 3), bool), "one shape"),
        (0, np.zeros((1, 2), np.uint8), np.zeros((1, 2), bool), "expected floating"),
        (0, np.zeros((1, 2)), np.zeros((1, 2)), "got float64 and float64"),
    ],
)
def test_wrong_arrays_are_refused(number, probability, truth, message):
    with pytest.raises(ValueError, match=message):
        ThresholdFit(2).add(number, probability, truth)
