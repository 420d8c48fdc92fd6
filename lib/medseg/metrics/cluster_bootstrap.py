"""A mean over cases that come in groups: its interval, its test, and when neither can be relied on.

Cases of one patient or video resemble each other, so that the group is the unit of chance. Trainings are a second one:
the same configuration trained again scores differently on the same cases.

The constants :data:`INTERVAL_FACTOR`, :data:`TEST_FACTOR` and :data:`CARRIERS` were chosen by what
``benchmarks/coverage.py`` measures; ``docs/statistics.md`` shows it.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # scipy.stats has it too, and takes half a second to import

FEW_GROUPS = 6  # below it, resampled groups say next to nothing
CARRIERS = 2.0  # least effective number of groups that the spread may rest on
INTERVAL_FACTOR = 1.25  # tail probabilities of the bootstrap come out too small by about this
TEST_FACTOR = 1.75  # the same for the test, which must not fail on a heavy tail either
POWER = 0.8  # with which the detectable difference would be told
_AT_ONCE = 16  # columns that share a pass over the draws: more take memory and gain little
_MOST_NUMBERS = 20_000_000  # in the matrix of draws


@dataclass(frozen=True)
class Noise:
    """What training again would add to a mean: variance of the mean, and degrees of freedom of that variance."""

    variance: float = 0.0
    freedom: float = math.inf

    def reach(self, tail: float) -> float:
        """Half the width of the two-sided interval that leaves out ``tail``; 0 without noise."""
        return -float(stdtrit(self.freedom, tail / 2)) * math.sqrt(self.variance) if self.variance else 0.0


@dataclass(frozen=True)
class Estimate:
    """A mean of cases.

    Attributes:
        mean: over the cases; NaN for none.
        low, high: interval; NaN for fewer than :data:`FEW_GROUPS`, infinite where the groups set no bound.
        p: two-sided, that the true mean is 0; NaN where there is no interval.
        error, freedom: standard error of the mean, noise of trainings included, and its degrees of freedom; NaN as p.
        n, n_groups: cases and groups.
        doubt: why interval and test cannot be relied on; empty where they can.
    """

    mean: float
    low: float
    high: float
    p: float
    error: float
    freedom: float
    n: int
    n_groups: int
    doubt: str

    def detectable(self, alpha: float = 0.05) -> float:
        """The smallest true difference from 0 that 80 of 100 such samples tell at the level ``alpha``; NaN as p.

        As if the studentised mean followed Student's distribution, which skewed values of few groups do not quite.
        """
        if not self.error:
            return self.error
        return (_t(self.freedom, 1 - alpha / TEST_FACTOR / 2) + _t(self.freedom, POWER)) * self.error


def training_noise(*sides: np.ndarray) -> Noise:
    """Noise of a mean, or of a difference of means, from what each of several trainings scored.

    The trainings of a side are a sample of what its configuration gives; their variance over their number is that of
    the side's mean, the sides add up, and the degrees of freedom are those of Welch (1947, Biometrika 34:28) and
    Satterthwaite (1946, Biometrics Bulletin 2:110).

    Args:
        sides: for each side (trainings,) their means, two or more.
    """
    parts = [(np.var(side, ddof=1) / np.size(side), np.size(side) - 1) for side in sides]
    variance = float(sum(part for part, _ in parts))
    return Noise(variance, variance**2 / sum(part**2 / df for part, df in parts)) if variance else Noise()


def estimate(
    values: ArrayLike, groups: Iterable, *, noise: Noise = Noise(), confidence: float = 0.95, draws: int = 9999
) -> Estimate:
    """Mean of ``values`` with interval and test over groups, and over trainings where ``noise`` is given.

    The cluster bootstrap (Field and Welsh 2007, J. R. Stat. Soc. B 69:369), studentised (Hall 1992, The Bootstrap and
    Edgeworth Expansion, section 3.10.4; standard error of a ratio by linearisation), which draws one group less than
    there are, so that its variance is unbiased for few of them (Rao and Wu 1988, JASA 83:231). The interval has equal
    tails. The test takes the larger p of equal tails and of the symmetric interval: the mean of skewed values errs to
    one side, which the first allows for, and rare large values cheat the first, but not the second. Noise of the
    trainings is added by squares of half widths (Zou and Donner 2008, Stat. Med. 27:1693, equation 3).

    The same values and groups give the same result.

    Args:
        values: (n,), finite.
        groups: n patients or sequences.
        noise: what other trainings would add; the default says that the trainings at hand are meant.
        confidence: coverage in (0, 1).
        draws: number of bootstrap draws; fewer where there are very many groups. No p is below 3.5 / draws.
    """
    column = np.asarray(values, float)[:, None]
    return estimates(column, groups, noises=[noise], confidence=confidence, draws=draws)[0]


def estimates(
    values: ArrayLike, groups: Iterable, *, noises: Sequence[Noise], confidence: float = 0.95, draws: int = 9999
) -> list[Estimate]:
    """:func:`estimate` of each column of ``values``, all with the same draws of groups: many at a time are much faster.

    Args:
        values: (n, k), finite.
        groups: n patients or sequences.
        noises: k, one for each column.
        confidence, draws: see :func:`estimate`.
    """
    values = np.asarray(values, float)
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    counts = np.bincount(codes, minlength=len(names)).astype(float)
    rests = np.empty((len(names), values.shape[1]))  # deviations of the groups' sums
    for column, rest in zip(values.T, rests.T, strict=True):
        if len(names):
            rest[:] = np.bincount(codes, column, len(names)) - column.mean() * counts
            rest[np.abs(rest) < 1e-9 * np.abs(column).max() * counts] = 0
    found: list[Estimate] = []
    for start in range(0, values.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        spread = rests[:, part]
        drawn = len(names) >= FEW_GROUPS and spread.any()
        pivots = _pivots(spread, counts, draws) if drawn else np.zeros((spread.shape[1], draws))
        found += [
            _estimate(column, rest, counts, own, noise, confidence)
            for column, rest, own, noise in zip(values.T[part], spread.T, pivots, noises[part], strict=True)
        ]
    return found


def _estimate(
    values: np.ndarray, rest: np.ndarray, counts: np.ndarray, pivots: np.ndarray, noise: Noise, confidence: float
) -> Estimate:
    """Of one column: ``rest`` (groups,) and ``pivots`` (draws,), which are not used where ``rest`` is 0 throughout."""
    size, nan = len(counts), math.nan
    if size == 0:
        return Estimate(nan, nan, nan, nan, nan, nan, 0, 0, "no case was scored")
    mean = float(values.mean())
    if not np.ptp(values) and not mean:
        return Estimate(0.0, 0.0, 0.0, 1.0, 0.0, nan, len(values), size, "")
    doubt = _doubt(rest, counts)
    if size < FEW_GROUPS:
        return Estimate(mean, nan, nan, nan, nan, nan, len(values), size, doubt)
    error = math.sqrt(size / (size - 1) * (rest**2).sum()) / len(values)
    tail = (1 - confidence) / INTERVAL_FACTOR
    if noise.variance:
        below, above, p = _with_noise(mean, error, pivots, noise, tail)
        whole = error**2 + noise.variance
        freedom = whole**2 / (error**4 / (size - 1) + noise.variance**2 / noise.freedom)
    else:
        below, above, p = _without_noise(mean, error, pivots, tail)
        whole, freedom = error**2, size - 1
    ends, error = (mean - below, mean + above), math.sqrt(whole)
    return Estimate(mean, *ends, min(1.0, TEST_FACTOR * p), error, freedom, len(values), size, doubt)


def least_p(draws: int) -> float:
    """The smallest p that so many draws can give."""
    return TEST_FACTOR * 2 / (draws + 1)


def _without_noise(mean: float, error: float, pivots: np.ndarray, tail: float) -> tuple[float, float, float]:
    """Distance from the mean to the lower and to the upper bound of the interval that leaves out ``tail``, and p before
    its factor: by counting, which takes a tenth of the time that sorting does.
    """
    draws = len(pivots)
    place = max(int(tail / 2 * (draws + 1)), 1)
    parted = np.partition(pivots, (place - 1, draws - place))
    below, above = max(parted[draws - place], 0.0) * error, max(-parted[place - 1], 0.0) * error
    if not mean:
        return below, above, 1.0
    reached = pivots * math.copysign(error, mean)
    one_side = np.count_nonzero(reached >= abs(mean))
    both = one_side + np.count_nonzero(reached <= -abs(mean))
    return below, above, min(1.0, max(2 * (one_side + 1), both + 1) / (draws + 1))


def _with_noise(mean: float, error: float, pivots: np.ndarray, noise: Noise, tail: float) -> tuple[float, float, float]:
    """As :func:`_without_noise`, what other trainings would add being part of all three."""
    pivots = np.sort(pivots)
    symmetric = np.sort(np.abs(pivots))

    def equal_tails(tail: float) -> tuple[float, float]:
        """Distance from the mean to the lower and to the upper bound of the interval that leaves out ``tail``."""
        place = max(int(tail / 2 * (len(pivots) + 1)), 1)
        both = max(pivots[-place], 0.0) * error, max(-pivots[place - 1], 0.0) * error
        return math.hypot(both[0], noise.reach(tail)), math.hypot(both[1], noise.reach(tail))

    def same_both_ways(tail: float) -> tuple[float, float]:
        place = max(int(tail * (len(pivots) + 1)), 1)
        reach = math.hypot(symmetric[-place] * error, noise.reach(tail))
        return reach, reach

    below, above = equal_tails(tail)
    return below, above, max(_least_tail(mean, reach, 2 / (len(pivots) + 1)) for reach in (equal_tails, same_both_ways))


@functools.lru_cache(maxsize=256)
def _t(freedom: float, probability: float) -> float:
    """Quantile of Student's t."""
    return float(stdtrit(freedom, probability))


def group_draws(rng: np.random.Generator, size: int, draws: int) -> np.ndarray:
    """(draws, size) float64: how often each group is in a draw of ``size - 1`` groups with replacement.

    Fewer draws where there are very many groups.
    """
    number = min(draws, max(_MOST_NUMBERS // size, 999))
    return rng.multinomial(size - 1, np.full(size, 1 / size), number).astype(float)


def _pivots(rests: np.ndarray, counts: np.ndarray, draws: int) -> np.ndarray:
    """(k, draws) studentised means of drawn groups, of each of (groups, k); infinite where the drawn ones do not differ
    among themselves.
    """
    size, k = rests.shape
    # One product for all: what takes the time is to read the draws.
    sums = np.column_stack([counts, counts**2, rests, rests**2, rests * counts[:, None]]).T @ _draws(size, draws).T
    total, total_squares = sums[:2]
    pivots = np.empty((k, sums.shape[1]))
    for i, rest in enumerate(rests.T):
        drawn, squared, weighted = sums[2 + i], sums[2 + k + i], sums[2 + 2 * k + i]
        means = drawn / total
        squares = squared - 2 * means * weighted + means**2 * total_squares
        tiny = 1e-12 * (rest**2).max()
        errors = np.sqrt((size - 1) / (size - 2) * np.where(squares > tiny, squares, 0)) / total
        with np.errstate(divide="ignore", invalid="ignore"):
            pivots[i] = np.where(np.abs(means) > 1e-12 * np.abs(rest).max() / counts.max(), means / errors, 0.0)
    return pivots


@functools.lru_cache(maxsize=4)
def _draws(size: int, draws: int) -> np.ndarray:
    return group_draws(np.random.default_rng(0), size, draws)


def _least_tail(mean: float, reach: Callable[[float], tuple[float, float]], least: float) -> float:
    """The smallest tail for which the interval of ``reach`` leaves 0 out, by halving on the scale of logarithms."""
    side = 0 if mean > 0 else 1
    out, inside = 1.0, least
    if reach(least)[side] < abs(mean):
        return least
    for _ in range(40):
        middle = math.sqrt(out * inside)
        out, inside = (middle, inside) if reach(middle)[side] < abs(mean) else (out, middle)
    return out


def _doubt(rest: np.ndarray, counts: np.ndarray) -> str:
    """Why an interval from these groups cannot be relied on: too few, alike for the most part, or one outweighs all.

    The effective number of groups is the inverse of the sum of their squared shares in the variance (Hill 1973,
    Ecology 54:427, order 2): groups' number where all deviate alike, 1 where one alone does.
    """
    size = len(rest)
    if size < FEW_GROUPS:
        return f"only {size} group{'s' if size > 1 else ''}"
    _, alike = np.unique(np.round(rest / counts, 12), return_counts=True)
    if alike.max() > size / 2:
        return f"{alike.max()} of {size} groups have the same value"
    shares = rest**2 / (rest**2).sum()
    carriers = 1 / (shares**2).sum()
    return f"the spread comes from {carriers:.1f} of {size} groups" if carriers < CARRIERS else ""
