"""How often the interval of a mean holds the true mean, and how often equal runs are called different.

Samples are drawn from distributions whose mean is known: differences of cases that come in groups, half of their
variance between the groups. Each sample is judged by ours (``metrics/cluster_bootstrap.py``) and by the plain
percentile bootstrap of whole groups.

- ``coverage``: share of samples whose 95 % interval holds the true mean. ``relied on``: the same, of the samples that
  are not in doubt; ``doubt``: the share that is.
- ``width``: median width of the interval, in standard deviations of a case; JSON has the mean of the finite ones too.
- ``false alarms``: share of samples of true mean 0 that are told apart from 0 (ours: interval excludes 0, p below .05,
  no doubt; percentile: interval excludes 0). ``power``: the same where the true mean is three standard errors from 0.

``--seeds`` simulates training the same configuration again: 29 videos, networks whose mean Dice scatters over trainings
with the given standard deviation, one or three seeds each, told apart or not; and what a true difference does.
"""

import argparse
import functools
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from medseg.metrics.cluster_bootstrap import Noise, estimate, training_noise

DISTRIBUTIONS = ("normal", "exponential", "log-normal", "mostly zero")
SIZES = {"equal": "8 each", "unequal": "1 to 20, evenly", "very unequal": "2 to 30, geometrically"}
GROUPS = (6, 10, 20, 30, 60)
CONFIDENCE = 0.95
DRAWS = 1999
_DIFFER = 0.2  # share of the groups that differ at all, where most do not


def sizes_of(kind: str, groups: int) -> np.ndarray:
    """Number of cases of each group."""
    if kind == "equal":
        return np.full(groups, 8)
    return np.round(np.linspace(1, 20, groups) if kind == "unequal" else np.geomspace(2, 30, groups)).astype(int)


def draw(rng: np.random.Generator, distribution: str, sizes: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Differences of cases, group after group; their true mean; and their standard deviation."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    if distribution == "mostly zero":
        differ = rng.random(len(sizes)) < _DIFFER
        each = rng.exponential(size=len(sizes))[groups] + 0.3 * rng.normal(size=len(groups))
        return differ[groups] * each, _DIFFER, float(np.sqrt(_DIFFER * (2 + 0.09) - _DIFFER**2))
    made = {
        "normal": (rng.normal, 0.0, 1.0),
        "exponential": (rng.exponential, 1.0, 1.0),
        "log-normal": (lambda size: rng.lognormal(0, 1, size), np.exp(0.5), np.sqrt((np.e - 1) * np.e)),
    }
    sample, mean, sd = made[distribution]
    between, within = sample(size=len(sizes))[groups] - mean, sample(size=len(groups)) - mean
    return (between + within) * np.sqrt(0.5), 0.0, float(sd)


def percentile(values: np.ndarray, groups: np.ndarray, draws: int) -> tuple[float, float]:
    """The plain way: percentiles of the means of drawn groups."""
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    drawn = np.random.default_rng(0).integers(len(counts), size=(draws, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def case(setting: tuple[str, str, int], samples: int) -> dict:
    """What both ways do in one setting."""
    distribution, kind, number = setting
    sizes = sizes_of(kind, number)
    groups = np.repeat(np.arange(number), sizes)
    rng = np.random.default_rng([DISTRIBUTIONS.index(distribution), list(SIZES).index(kind), number])
    error = np.sqrt(0.5 * ((sizes**2).sum() / sizes.sum() ** 2 + 1 / sizes.sum()))
    if distribution == "mostly zero":
        error = np.sqrt((sizes**2).sum()) / sizes.sum()
    found: dict[str, list] = {"ours": [], "percentile": []}
    doubts = []
    for _ in range(samples):
        values, mean, sd = draw(rng, distribution, sizes)
        ours = estimate(values - mean, groups, confidence=CONFIDENCE, draws=DRAWS)
        shifted = estimate(values - mean + 3 * error * sd, groups, confidence=CONFIDENCE, draws=DRAWS)
        doubts.append(bool(ours.doubt))
        told = [e.p < 1 - CONFIDENCE and not e.doubt and not e.low <= 0 <= e.high for e in (ours, shifted)]
        found["ours"].append((ours.low <= 0 <= ours.high, (ours.high - ours.low) / sd, *told))
        low, high = percentile(values - mean, groups, DRAWS)
        over = 3 * error * sd
        found["percentile"].append((low <= 0 <= high, (high - low) / sd, not low <= 0 <= high, not low + over <= 0))
    doubt = np.array(doubts)
    row = {"distribution": distribution, "sizes": kind, "groups": number, "samples": samples}
    for way, values in found.items():
        covered, width, false, true = map(np.array, zip(*values, strict=True))
        row[way] = {
            "coverage": float(covered.mean()),
            "width": float(np.median(width)),
            "mean_width": float(width[np.isfinite(width)].mean()),
            "false_alarms": float(false.mean()),
            "power": float(true.mean()),
        }
    relied = np.array([covered for covered, *_ in found["ours"]])[~doubt]
    row["ours"] |= {"doubt": float(doubt.mean()), "relied_on": float(relied.mean()) if len(relied) else None}
    return row


def trained_again(setting: tuple[float, int, float], samples: int) -> dict:
    """How often two configurations of a true ``difference`` are told apart, each trained with ``seeds`` seeds."""
    spread, seeds, difference = setting
    rng = np.random.default_rng([int(1000 * spread), seeds, int(1000 * difference)])
    sizes = sizes_of("unequal", 29)
    groups = np.repeat(np.arange(29), sizes)
    told = 0
    for _ in range(samples):
        sides = []
        for shift in (0, difference):
            between = rng.normal(0, 0.03, (seeds, 29))[:, groups]
            trainings = rng.normal(shift, spread, (seeds, 1)) + between + rng.normal(0, 0.05, (seeds, len(groups)))
            sides.append(trainings)
        noise = training_noise(*(side.mean(axis=1) for side in sides)) if seeds >= 3 else Noise()
        found = estimate(sides[1].mean(axis=0) - sides[0].mean(axis=0), groups, noise=noise, draws=DRAWS)
        told += found.p < 1 - CONFIDENCE and not found.doubt and not found.low <= 0 <= found.high
    return {"sd": spread, "seeds": seeds, "difference": difference, "samples": samples, "told_apart": told / samples}


def results(samples: int, seeds: bool, workers: int) -> Iterator[dict]:
    if seeds:
        settings = [(sd, n, d) for d in (0.0, 0.03, 0.05) for n in (1, 3, 5) for sd in (0.0, 0.005, 0.01, 0.02)]
        work = functools.partial(trained_again, samples=samples)
    else:
        settings = [(d, kind, n) for d in DISTRIBUTIONS for kind in SIZES for n in GROUPS]
        work = functools.partial(case, samples=samples)
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, settings)


def line(row: dict) -> str:
    if "sd" in row:
        return f"{row['sd']:6.3f} {row['seeds']:5d} {row['difference']:10.2f} {row['told_apart']:10.3f}"
    ours, plain = row["ours"], row["percentile"]
    relied = f"{ours['relied_on']:.3f}" if ours["relied_on"] is not None else "none"
    return (
        f"{row['distribution']:12} {row['sizes']:12} {row['groups']:6d}   {ours['coverage']:.3f} {relied:>9} "
        f"{ours['doubt']:5.2f} {ours['width']:5.2f} {ours['false_alarms']:6.3f} {ours['power']:5.2f}   "
        f"{plain['coverage']:8.3f} {plain['width']:5.2f} {plain['false_alarms']:6.3f} {plain['power']:5.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--samples", type=int, default=2000, help="of each setting")
    parser.add_argument("--seeds", action="store_true", help="train again, instead of the coverage")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(
            "    sd seeds difference told apart" if options.seeds else
            "distribution sizes        groups   cover. relied on doubt width  false power   percent. width  false power"
        )  # fmt: skip
    for row in results(options.samples, options.seeds, options.workers):
        rows.append(row)
        if not options.json:
            print(line(row), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
