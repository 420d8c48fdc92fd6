"""Calibration worked out by hand on ten cases, and against sums over all pixels."""

import numpy as np
import pytest
from ten_cases import SURE, UNSURE, masks

from medseg.metrics.calibration import BINS, BinnedCounts, brier, ece, reliability


@pytest.fixture
def binned():
    """The table of each test set of the ten cases."""
    found = {"A": BinnedCounts(), "B": BinnedCounts()}
    for row, truth, predicted in masks():
        found[row["test_set"]].add(np.where(predicted, SURE, UNSURE), truth)
    return {name: counts.table() for name, counts in found.items()}


def test_ece_and_brier_of_ten_cases_by_hand(binned):
    # B: 160 of 400 pixels are predicted, 50 of them rightly; of the other 240, 6 are true.
    assert ece(binned["B"]) == pytest.approx((160 * abs(0.9 - 50 / 160) + 240 * abs(0.1 - 6 / 240)) / 400)
    assert ece(binned["B"]) == pytest.approx(0.28)
    assert brier(binned["B"]) == pytest.approx((50 * 0.01 + 110 * 0.81 + 6 * 0.81 + 234 * 0.01) / 400)
    # A: 16 + 8 + 16 + 4 + 0 + 13 = 57 of 600 predicted, 40 rightly; 0 + 8 + 4 + 16 = 28 of the other 543 are true.
    assert ece(binned["A"]) == pytest.approx((57 * abs(0.9 - 40 / 57) + 543 * abs(0.1 - 28 / 543)) / 600)
    assert brier(binned["A"]) == pytest.approx((40 * 0.01 + 17 * 0.81 + 28 * 0.81 + 515 * 0.01) / 600)


def test_the_diagram_has_the_bins_that_hold_pixels(binned):
    found = reliability(binned["B"])
    assert found["pixels"].tolist() == [240, 160]
    assert found["probability"].tolist() == pytest.approx([0.1, 0.9])
    assert found["observed"].tolist() == pytest.approx([6 / 240, 50 / 160])


def test_dice_against_the_threshold_by_hand(binned):
    dice = binned["B"]["dice"]
    assert dice[0] == pytest.approx((72 / 136 + 8 / 104 + 16 / 108 + 16 / 108) / 4)  # everything is predicted
    assert dice[BINS // 2] == pytest.approx((60 / 66 + 8 / 104 + 16 / 22 + 16 / 24) / 4)
    assert dice[BINS - 1] == 0
    # Of A the two cases without anything to find are left out.
    assert binned["A"]["dice"][BINS // 2] == pytest.approx((1 + 16 / 24 + 32 / 36 + 0) / 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_those_of_all_pixels(dtype):
    rng = np.random.default_rng(3)
    counts, seen = BinnedCounts(), []
    for _ in range(3):
        probability = (rng.random((40, 50)) ** 12).astype(dtype)  # most pixels lie in the lowest bin
        truth = (rng.random((40, 50)) < probability + 0.02).astype(np.uint8)
        counts.add(probability, truth)
        seen.append((probability.astype(float), truth))
    probability, truth = (np.stack(part) for part in zip(*seen, strict=True))
    table = counts.table()
    assert brier(table) == pytest.approx(np.square(probability - truth).mean(), rel=1e-6)
    places = (probability * BINS).astype(int)
    for number in (0, 1, 40, 255):
        inside = places == number
        assert table["pixels"][number] == inside.sum()
        assert table["foreground"][number] == truth[inside].sum()
        assert table["probability"][number] == pytest.approx(probability[inside].sum(), abs=1e-9)
    expected = sum(
        abs(probability[chosen].mean() - truth[chosen].mean()) * chosen.mean()
        for chosen in (places // 16 == number for number in range(16))
        if chosen.any()
    )
    assert ece(table) == pytest.approx(expected, rel=1e-9)


def test_what_is_no_probability_is_refused():
    for wrong in (np.full((2, 2), 1.2), np.full((2, 2), -0.5), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            BinnedCounts().add(wrong, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="one shape"):
        BinnedCounts().add(np.zeros((2, 3)), np.zeros((3, 2)))


def test_without_anything_to_find_there_is_no_dice():
    counts = BinnedCounts()
    counts.add(np.full((4, 4), 0.3), np.zeros((4, 4)))
    assert counts.table()["dice"].isna().all()
    assert ece(counts.table()) == pytest.approx(0.3)
