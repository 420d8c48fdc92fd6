from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from medseg.metrics.cluster_bootstrap import INTERVAL_FACTOR, TEST_FACTOR, Noise, estimate, estimates, training_noise

RNG = np.random.default_rng(4)
VALUES = RNG.normal(0.03, 0.05, 24)


def by_hand(values, groups, confidence=0.95, draws=8000):
    """Interval of equal tails and p, draw by draw, in the plainest way there is."""
    values, groups = np.asarray(values), np.asarray(groups)
    parts = [values[groups == name] for name in np.unique(groups)]
    size, rng = len(parts), np.random.default_rng(9)

    def ratio_and_error(drawn):
        sums, counts = np.array([p.sum() for p in drawn]), np.array([len(p) for p in drawn])
        mean = sums.sum() / counts.sum()
        return mean, np.sqrt(len(drawn) / (len(drawn) - 1) * ((sums - mean * counts) ** 2).sum()) / counts.sum()

    mean, error = ratio_and_error(parts)
    pivots = []
    for _ in range(draws):
        other, spread = ratio_and_error([parts[i] for i in rng.integers(size, size=size - 1)])
        pivots.append((other - mean) / spread if spread > 1e-12 else np.inf * np.sign(other - mean))
    pivots = np.sort(np.nan_to_num(pivots, nan=0, posinf=1e9, neginf=-1e9))
    place = int((1 - confidence) / INTERVAL_FACTOR / 2 * (draws + 1))
    beyond = min((pivots >= mean / error).mean(), (pivots <= mean / error).mean())
    p = TEST_FACTOR * max(2 * beyond, (np.abs(pivots) >= abs(mean / error)).mean())
    return mean - pivots[-place] * error, mean - pivots[place - 1] * error, min(p, 1)


@pytest.mark.parametrize("sizes", [[1] * 24, [1, 2, 3, 4, 5, 6, 2, 1], [7, 1, 1, 4, 2, 2, 3, 1, 1, 1, 1]])
def test_the_interval_is_that_of_a_plain_second_implementation(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = estimate(VALUES, groups)
    low, high, p = by_hand(VALUES, groups)
    width = high - low
    assert found.mean == pytest.approx(VALUES.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.06 * width)
    assert found.p == pytest.approx(p, abs=0.01, rel=0.15)
    assert (found.n, found.n_groups) == (24, len(sizes))


def test_the_interval_widens_with_the_confidence_and_p_is_where_it_reaches_zero():
    found = [estimate(VALUES, range(24), confidence=c) for c in (0.5, 0.9, 0.99)]
    assert found[0].low > found[1].low > found[2].low
    assert found[0].high < found[1].high < found[2].high
    p = found[0].p / TEST_FACTOR
    # p is the larger one of two; the interval of equal tails that leaves p out still excludes 0.
    assert estimate(VALUES, range(24), confidence=1 - INTERVAL_FACTOR * p).low >= -1e-12
    assert found[0].p < 0.05
    assert estimate(VALUES - VALUES.mean() + 1e-9, range(24)).p > 0.9


def test_many_normal_groups_give_the_interval_of_student():
    values = RNG.normal(1, 2, 400)
    found = estimate(values, range(400))
    t = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / INTERVAL_FACTOR)
    assert (found.low, found.high) == pytest.approx(tuple(t), abs=0.02)
    # Lehr's rule of thumb: four standard errors over the square root of two, for 80 % power at 5 %.
    assert found.detectable() == pytest.approx(3.03 * values.std() / 20, rel=0.02)  # 2.19 for .05 / 1.75, and .84


def test_repeated_frames_of_a_group_are_no_further_evidence():
    values = RNG.normal(0.5, 0.1, 12)
    once, often = estimate(values, range(12)), estimate(np.repeat(values, 50), np.repeat(range(12), 50))
    assert (often.low, often.high, often.p) == pytest.approx((once.low, once.high, once.p))
    assert estimate(np.repeat(values, 50), range(600)).low > once.low + 0.02


def test_skewed_values_have_a_skewed_interval_and_the_sign_is_free():
    values = RNG.exponential(1, 20)
    found, mirrored = estimate(values, range(20)), estimate(-values, range(20))
    assert found.high - found.mean > 1.3 * (found.mean - found.low)
    assert (mirrored.low, mirrored.high, mirrored.p) == pytest.approx((-found.high, -found.low, found.p), rel=1e-2)
    assert estimate(values, range(20)) == found


def test_what_cannot_be_relied_on_is_in_doubt():
    assert estimate(VALUES, range(24)).doubt == ""
    few = estimate(VALUES, np.repeat(range(5), [4, 5, 5, 5, 5]))
    assert few.doubt == "only 5 groups"
    assert np.isnan([few.low, few.high, few.p, few.detectable()]).all()
    assert estimate([0.5, 0.6], ["a", "a"]).doubt == "only 1 group"
    assert estimate([], []).doubt == "no case was scored"
    assert estimate([0] * 7 + [0.1, 0.2, -0.1], range(10)).doubt == "7 of 10 groups have the same value"
    one = estimate([*(VALUES[:9] / 50), 1], range(10))
    assert one.doubt == "the spread comes from 1.2 of 10 groups"
    assert estimate([0] * 7, range(7)) == estimate([0] * 7, "abcdefg")
    assert (estimate([0] * 7, range(7)).p, estimate([0] * 7, range(7)).doubt) == (1, "")


def test_noise_of_trainings_by_hand():
    # Variances .0004 and .0001 of three each: sum / 3; Welch's degrees of freedom.
    found = training_noise(np.array([0.48, 0.50, 0.52]), np.array([0.39, 0.40, 0.41]))
    assert found.variance == pytest.approx(0.0005 / 3)
    assert found.freedom == pytest.approx(0.0005**2 / ((0.0004**2 + 0.0001**2) / 2))
    t = stats.ttest_ind([0.48, 0.50, 0.52], [0.39, 0.40, 0.41], equal_var=False)
    assert (found.freedom, found.variance) == pytest.approx((t.df, (0.1 / t.statistic) ** 2))
    assert training_noise(np.array([0.5, 0.5, 0.5])) == Noise()


def test_noise_adds_to_the_interval_by_squares():
    alone, noisy = estimate(VALUES, range(24)), estimate(VALUES, range(24), noise=Noise(0.0004, 4))
    reach = stats.t.isf(0.05 / INTERVAL_FACTOR / 2, 4) * 0.02
    assert noisy.mean - noisy.low == pytest.approx(np.hypot(alone.mean - alone.low, reach))
    assert noisy.high - noisy.mean == pytest.approx(np.hypot(alone.high - alone.mean, reach))
    assert noisy.p > alone.p
    assert noisy.detectable() > alone.detectable()


def test_equal_configurations_are_rarely_told_apart_whatever_the_trainings_add():
    """The seed simulation of benchmarks/coverage.py in small; with one training each the same data is told apart."""
    rng = np.random.default_rng(1)
    groups = np.repeat(range(29), 4)

    def told(trainings):
        runs = [
            np.stack([rng.normal(0, 0.01) + rng.normal(0, 0.05, len(groups)) for _ in range(trainings)])
            for _ in range(2)
        ]
        noise = training_noise(*(run.mean(axis=1) for run in runs)) if trainings > 1 else Noise()
        return estimate(runs[0].mean(axis=0) - runs[1].mean(axis=0), groups, noise=noise, draws=999).p < 0.05

    assert sum(told(3) for _ in range(120)) <= 6
    assert sum(told(1) for _ in range(120)) > 18


def test_many_columns_at_once_are_as_each_by_itself():
    rng = np.random.default_rng(3)
    groups = [f"g{i // 2}" for i in range(40)]
    values = rng.normal(0.02, 0.1, (40, 20))
    values[:, 4], values[:, 5] = 0.0, 0.3  # no difference anywhere; the same one everywhere
    noises = [Noise(), Noise(1e-4, 2.0)] * 10
    found = estimates(values, groups, noises=noises, draws=999)
    for column, noise, each in zip(values.T, noises, found, strict=True):
        alone = estimate(column, groups, noise=noise, draws=999)
        *numbers, doubt = astuple(each)
        assert numbers == pytest.approx(astuple(alone)[:-1], rel=1e-9, nan_ok=True)
        assert doubt == alone.doubt
    assert len({each.mean for each in found}) == 20
    assert found[4].p == 1
    assert found[5].doubt == "20 of 20 groups have the same value"
