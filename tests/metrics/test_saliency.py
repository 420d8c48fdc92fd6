import cv2
import numpy as np
import py_sod_metrics
import pytest

from medseg.metrics.saliency import MEASURES, SaliencySummary, as_saved

HEIGHT, WIDTH = 20, 24
PIXELS = HEIGHT * WIDTH
SIDE = 8
AREA = SIDE * SIDE


def truth():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[6 : 6 + SIDE, 8 : 8 + SIDE] = 1
    return mask


def blurred_cases(number=4):
    """Probability maps and masks of ellipses, shifted and blurred, of two sizes."""
    rng = np.random.default_rng(0)
    for i in range(number):
        height, width = ((70, 90), (48, 60))[i % 2]
        mask = cv2.ellipse(np.zeros((height, width), np.uint8), (35, 25), (14, 9), 30 * i, 0, 360, 1, -1)
        moved = np.roll(mask, (2 * i, 3), (0, 1)).astype(np.float32)
        noisy = cv2.GaussianBlur(moved, (0, 0), 2) * 0.8 + 0.1 * rng.random((height, width), np.float32)
        yield noisy.astype(np.float32), mask


def averaged(first, rest):
    """Mean of a curve that has one value at threshold 0 and another at the 255 others."""
    return (first + 255 * rest) / 256


def test_a_perfect_prediction():
    found = SaliencySummary().add(truth().astype(np.float32), truth())
    everything_dice, everything_iou = 2 * AREA / (AREA + PIXELS), AREA / PIXELS
    assert found == pytest.approx(
        {
            "mdice_thresholds": averaged(everything_dice, 1),
            "miou_thresholds": averaged(everything_iou, 1),
            "weighted_f": 1,
            "s_measure": 1,
            "e_mean": averaged(1 / 4, 1) * PIXELS / (PIXELS - 1),
            "e_max": PIXELS / (PIXELS - 1),
            "mae": 0,
        },
        abs=1e-9,
    )


def test_an_empty_prediction():
    found = SaliencySummary().add(np.zeros((HEIGHT, WIDTH), np.float32), truth())
    quarter = PIXELS / (PIXELS - 1) / 4  # the alignment with a map of one value is 0 everywhere, and (1 + 0)^2 / 4
    assert found == pytest.approx(
        {
            "mdice_thresholds": averaged(2 * AREA / (AREA + PIXELS), 0),
            "miou_thresholds": averaged(AREA / PIXELS, 0),
            "weighted_f": 0,
            "s_measure": (1 - AREA / PIXELS) / 2,  # the background's share of the object part; the region part is 0
            "e_mean": quarter,
            "e_max": quarter,
            "mae": AREA / PIXELS,
        },
        abs=1e-9,
    )


def test_half_of_the_structure():
    half = truth().astype(np.float32)
    half[:, 8 + SIDE // 2 :] = 0
    found = SaliencySummary().add(half, truth())

    def aligned(of_map, of_truth):
        return (1 + 2 * of_map * of_truth / (of_map**2 + of_truth**2)) ** 2 / 4

    mean_map, mean_truth = AREA / 2 / PIXELS, AREA / PIXELS
    e = AREA / 2 * aligned(1 - mean_map, 1 - mean_truth) + AREA / 2 * aligned(-mean_map, 1 - mean_truth)
    e = (e + (PIXELS - AREA) * aligned(-mean_map, -mean_truth)) / (PIXELS - 1)

    def similarity(inside, found_pixels, true_pixels):
        x, y = found_pixels / inside, true_pixels / inside
        variances = (x - x**2 + y - y**2) * inside / (inside - 1)
        covariance = (found_pixels - inside * x * y) / (inside - 1)
        return 4 * x * y * covariance / ((x**2 + y**2) * variances)

    spread = np.sqrt(AREA / 4 / (AREA - 1))
    objects = AREA / PIXELS * 2 * 0.5 / (0.5**2 + 1 + spread) + 1 - AREA / PIXELS
    # The centroid parts the picture after row 10 and column 12; right of it, truth is there and nothing is found: 0.
    regions = 11 * 13 * similarity(11 * 13, 5 * 4, 5 * 5) + 9 * 13 * similarity(9 * 13, 3 * 4, 3 * 5)
    assert found["mdice_thresholds"] == pytest.approx(averaged(2 * AREA / (AREA + PIXELS), 2 / 3))
    assert found["miou_thresholds"] == pytest.approx(averaged(AREA / PIXELS, 1 / 2))
    assert found["mae"] == pytest.approx(AREA / 2 / PIXELS)
    assert found["e_max"] == pytest.approx(e)
    assert found["e_mean"] == pytest.approx(averaged(PIXELS / (PIXELS - 1) / 4, e))
    assert found["s_measure"] == pytest.approx((objects + regions / PIXELS) / 2)


def test_the_weighted_f_measure_weighs_a_far_false_positive_up():
    # Found with confidence 153 / 255 = 0.6 throughout, and one pixel at 8 pixels' distance taken for certain.
    found = np.where(truth(), 0.6, 0).astype(np.float32)
    found[10, 0] = 1
    precision = 0.6 * AREA / (0.6 * AREA + 2 - 0.5 ** (8 / 5))
    expected = 2 * 0.6 * precision / (0.6 + precision)
    assert SaliencySummary().add(found, truth())["weighted_f"] == pytest.approx(expected)


def test_figures_of_a_test_set_are_those_of_the_package_over_saved_pictures():
    summary, measured = SaliencySummary(), []
    overlap = py_sod_metrics.FmeasureV2(
        {"dice": py_sod_metrics.DICEHandler(True, False), "iou": py_sod_metrics.IOUHandler(True, False)}
    )
    others = {name: getattr(py_sod_metrics, name)() for name in ("WeightedFmeasure", "Smeasure", "Emeasure", "MAE")}
    for probability, mask in blurred_cases():
        measured.append(summary.add(probability, mask))
        picture = cv2.normalize(probability.astype(float), None, 0, 255, cv2.NORM_MINMAX)
        for metric in (overlap, *others.values()):
            metric.step(pred=np.rint(picture).astype(np.uint8), gt=mask * 255)
    curves = overlap.get_results()
    e_curve = others["Emeasure"].get_results()["em"]["curve"]
    expected = {
        "mdice_thresholds": curves["dice"]["dynamic"].mean(),
        "miou_thresholds": curves["iou"]["dynamic"].mean(),
        "weighted_f": others["WeightedFmeasure"].get_results()["wfm"],
        "s_measure": others["Smeasure"].get_results()["sm"],
        "e_mean": e_curve.mean(),
        "e_max": e_curve.max(),
        "mae": others["MAE"].get_results()["mae"],
        "n_scored": 4,
    }
    assert summary.summary() == pytest.approx(expected, abs=1e-12)
    assert list(measured[0]) == list(MEASURES)
    for name in MEASURES:
        mean = np.mean([case[name] for case in measured])
        if name == "e_max":
            assert mean > expected[name] + 1e-4  # each case at its own best threshold, not all at one
        else:
            assert mean == pytest.approx(expected[name])


def test_every_picture_is_stretched_to_the_full_range():
    ((probability, mask), *_) = blurred_cases(1)
    levels = np.rint((probability - probability.min()) / np.ptp(probability) * 255) / 255
    full = SaliencySummary().add(levels, mask)
    assert SaliencySummary().add((levels * 0.25 + 0.5).astype(np.float32), mask) == pytest.approx(full)
    assert as_saved(np.full((4, 5), 0.2, np.float32)) == pytest.approx(np.full((4, 5), 51 / 255))


def test_empty_truth_is_not_scored():
    summary = SaliencySummary()
    (case, *_) = blurred_cases(1)
    alone = summary.add(*case)
    empty = summary.add(case[0], np.zeros_like(case[1]))
    assert list(empty) == list(MEASURES)
    assert np.isnan(list(empty.values())).all()
    assert summary.summary() == pytest.approx({**alone, "n_scored": 1})
    nothing = SaliencySummary().summary()
    assert nothing["n_scored"] == 0
    assert np.isnan([nothing[name] for name in MEASURES]).all()


@pytest.mark.parametrize(
    ("probability", "mask", "message"),
    [
        (np.zeros((4, 5), np.float32), np.zeros((5, 4), np.uint8), "of one shape"),
        (np.full((4, 5), 1.5, np.float32), np.ones((4, 5), np.uint8), r"in \[0, 1\], got 1.5"),
        (np.full((4, 5), np.nan, np.float32), np.ones((4, 5), np.uint8), r"in \[0, 1\]"),
        (np.zeros((4, 5), np.float32), np.full((4, 5), 255, np.uint8), "0 and 1 only"),
    ],
)
def test_bad_arrays_are_refused(probability, mask, message):
    with pytest.raises(ValueError, match=message):
        SaliencySummary().add(probability, mask)
