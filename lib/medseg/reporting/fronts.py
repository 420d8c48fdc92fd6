"""Which configurations are worth their cost: the Pareto front of mean Dice against cost, and how sure it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from medseg.metrics.compare import BETTER, EQUIVALENT, UNSETTLED
from medseg.names import joined
from medseg.reporting import statistics
from medseg.reporting.comparison import MOST, Comparison

#: Times that differ by less say nothing: trainings of one network are timed a few per cent apart.
TIME_TOLERANCE = 0.1
#: What a configuration on the front is, beside the one before it: its mean is higher, so that it cannot be worse.
_WORDS = {BETTER: "better than", EQUIVALENT: "equivalent to", UNSETTLED: "not told apart from"}


@dataclass(frozen=True)
class Front:
    """The configurations of a test set than which none costs as little and has a higher mean.

    Attributes:
        labels: the cheapest first, and so the lowest mean first.
        verdicts: of each but the first on its difference to the one before, see :mod:`medseg.metrics.compare`.
        open: those off the front that are not shown to be worse than the best of those on it that cost no more; None
            where they are too many to be tested.
    """

    labels: tuple[str, ...]
    verdicts: tuple[str, ...]
    open: tuple[str, ...] | None


def front(
    comparison: Comparison,
    test_set: str,
    costs: Mapping[str, float],
    *,
    tolerance: float = 0.0,
    margin: float = statistics.MARGIN,
) -> Front:
    """The front of those configurations whose cost is known and that have a mean Dice.

    Args:
        comparison: of scored runs; all its pairs are the family of tests.
        costs: by label.
        tolerance: costs are the same up to this share of the lower one.
        margin: see :func:`medseg.reporting.statistics.differences`.
    """
    means = statistics.means(comparison).query("test_set == @test_set").set_index("run")["mean"]
    dice = {label: float(means[label]) for label in costs if means[label] == means[label]}

    def beats(one: str, other: str) -> bool:
        if dice[one] == dice[other]:
            return costs[one] * (1 + tolerance) < costs[other]
        return dice[one] > dice[other] and costs[one] <= costs[other] * (1 + tolerance)

    on = sorted((label for label in dice if not any(beats(one, label) for one in dice)), key=dice.__getitem__)
    size, few = len(comparison.configurations), len(comparison.configurations) <= MOST
    tested = comparison
    if not few:
        tested = replace(comparison, configurations=tuple(c for c in comparison.configurations if c.label in on))
    found = statistics.verdicts(statistics.pairs(tested, "dice", margin, size * (size - 1) // 2))
    steps = tuple(found[test_set, then, before][0] for before, then in pairwise(on))
    unsure = []
    for label in dice if few else ():
        over = [one for one in on if beats(one, label)]
        if label not in on and not (over and found[test_set, over[-1], label][0] == BETTER):
            unsure.append(label)
    return Front(tuple(on), steps, tuple(unsure) if few else None)


def told(found: Front, what: str) -> str:
    """A front in words; ``what`` says of which test set, and by which cost."""
    others = found.labels[1:]
    text = f"{what}: {joined(found.labels)} {'are' if others else 'alone is'} on the front."
    for words in dict.fromkeys(_WORDS.values()):
        those = [label for label, verdict in zip(others, found.verdicts, strict=True) if _WORDS[verdict] == words]
        if those:
            text += f" {joined(those)} {'are each' if those[1:] else 'is'} {words} the next cheaper one there."
    if found.open is None:
        text += " Those off the front are too many to test whether they are worse."
    elif found.open:
        text += f" Off the front, but not shown to be worse: {joined(found.open)}."
    return text
