"""A split by patient in which every split has its share of every phase, as nearly as whole patients allow."""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from medseg.errors import MedsegError

_STARTS = 20


def stratified_groups(
    groups: Sequence[str], strata: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Give every group to one split.

    What is made small is the sum over splits and strata of (pictures - share * all pictures of the stratum)^2 / all
    pictures of the stratum: greedily, rare strata first (after Sechidis, Tsoumakas and Vlahavas 2011, "On the
    stratification of multi-label data"), then by moving groups; the best of several seeded starts.

    Args:
        groups: the group (patient) of every picture.
        strata: the stratum (phase) of every picture.
        shares: split to its share of the pictures; they add up to 1.
        seed: of the starts; the order of the pictures does not matter.

    Returns:
        Group to split. Every split of a share above 0 has at least one group.

    Raises:
        MedsegError: shares that are no shares, or fewer groups than splits.
    """
    names = [name for name, share in shares.items() if share > 0]
    if any(not 0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        text = ", ".join(f"{name} {share}" for name, share in shares.items())
        raise MedsegError(f"The shares of the splits are {text}; expected numbers from 0 to 1 that add up to 1.")
    members = sorted(set(groups))
    if len(members) < len(names):
        raise MedsegError(
            f"There are usable images of {len(members)} patient(s), but {len(names)} splits ({', '.join(names)}) need "
            "one each at least. Add patients, or give a split the share 0."
        )
    kinds = sorted(set(strata))
    counts = np.zeros((len(members), len(kinds)))
    place, kind_of = ({value: i for i, value in enumerate(values)} for values in (members, kinds))
    for group, stratum in zip(groups, strata, strict=True):
        counts[place[group], kind_of[stratum]] += 1
    wanted = np.array([shares[name] for name in names])
    draw = random.Random(seed)
    best = min((_start(counts, wanted, draw) for _ in range(_STARTS)), key=lambda found: found[0])[1]
    return {group: names[split] for group, split in zip(members, best, strict=True)}


def _start(counts: np.ndarray, shares: np.ndarray, draw: random.Random) -> tuple[float, list[int]]:
    """One greedy assignment, improved; its cost and the split of every group."""
    totals = counts.sum(axis=0)
    targets = shares[:, None] * totals
    held = np.zeros_like(targets)

    def cost(table: np.ndarray) -> float:
        return float((np.square(table - targets) / totals).sum())

    order = list(range(len(counts)))
    draw.shuffle(order)
    rarity = [min(totals[row > 0]) for row in counts]
    order.sort(key=lambda i: (rarity[i], -counts[i].max()))
    chosen = [-1] * len(counts)

    def put(group: int, split: int) -> None:
        if chosen[group] >= 0:
            held[chosen[group]] -= counts[group]
        chosen[group] = split
        held[split] += counts[group]

    for position, group in enumerate(order):
        empty = [split for split in range(len(shares)) if split not in chosen]
        must_fill = len(order) - position <= len(empty)
        options = empty if must_fill else range(len(shares))
        put(group, min(options, key=lambda split: _with(held, split, counts[group], cost)))
    improved = True
    while improved:
        improved = False
        for group in order:
            if chosen.count(chosen[group]) < 2:
                continue  # would leave its split empty
            before, at = cost(held), chosen[group]
            held[at] -= counts[group]
            after = {split: _with(held, split, counts[group], cost) for split in range(len(shares)) if split != at}
            held[at] += counts[group]
            target = min(after, key=lambda split: after[split]) if after else at
            if target != at and after[target] < before - 1e-9:
                put(group, target)
                improved = True
    return cost(held), chosen


def _with(held: np.ndarray, split: int, extra: np.ndarray, cost) -> float:
    held[split] += extra
    value = cost(held)
    held[split] -= extra
    return value
