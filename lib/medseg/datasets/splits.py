"""Splits that never tear a group (a patient, a video sequence) apart: by size, in folds, or stratified."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from medseg import project
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.errors import MedsegError

_STARTS = 20


def split_groups(groups: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Choose the groups of the validation split.

    Among all choices of whole ``groups`` (that of every picture, in any order), one whose number of pictures is nearest
    to ``fraction`` of all, in (0, 1); ``seed`` decides between equals. At least one group stays on each side. Raises
    MedsegError: there are fewer than two groups, or the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise MedsegError(f"The validation fraction is {fraction}; expected a number between 0 and 1, such as 0.2.")
    sizes = Counter(groups)
    if len(sizes) < 2:
        only = f"only the group {next(iter(sizes))!r}" if sizes else "none"
        raise MedsegError(
            f"Training and validation need at least two groups (patients or video sequences); there is {only}. "
            "Add images of another one, or name the sequences in a sequences.csv."
        )
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    target = fraction * len(groups)
    # Subset sums: for every reachable number of pictures, the group added last and the number before it. Sums beyond
    # twice the target are never nearer than the empty choice, save for the smallest group alone.
    limit = max(2 * target, min(sizes.values()))
    reached: dict[int, tuple[str, int]] = {}
    for name in names:
        for before in [0, *reached]:
            total = before + sizes[name]
            if total <= limit and total < len(groups):
                reached.setdefault(total, (name, before))
    best = min(reached, key=lambda total: (abs(total - target), total))
    chosen: set[str] = set()
    while best:
        name, best = reached[best]
        chosen.add(name)
    return chosen


def group_folds(groups: Sequence[str], folds: int, seed: int) -> list[int]:
    """Cross-validation folds of whole groups, drawn at random from ``seed`` (scikit-learn's GroupKFold).

    Of the group of every picture, in any order, to its fold, 0 to ``folds - 1``; the numbers of groups in any two folds
    differ by one at most. Raises MedsegError: fewer than 3 folds (one to test on, one to validate on, the rest to train
    on), or fewer groups than folds.
    """
    from sklearn.model_selection import GroupKFold  # takes a second to import, and few need it

    names = sorted(set(groups))
    if folds < 3:
        raise MedsegError(
            f"{folds} fold(s) are asked for; at least 3 are needed: to train, to validate and to test on."
        )
    if len(names) < folds:
        listed = f" ({', '.join(names)})" if names else ""
        raise MedsegError(
            f"{folds} folds need at least as many groups (patients); there are {len(names)}{listed}. Add patients, or "
            "ask for fewer folds."
        )
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    fold_of = {
        names[place]: fold for fold, (_, test) in enumerate(splitter.split(names, groups=names)) for place in test
    }
    return [fold_of[group] for group in groups]


def fold_split(fold: int, held_out: int, folds: int) -> tuple[str, str]:
    """Split and test set of the pictures of ``fold`` where ``held_out`` is tested on and the next one validated on."""
    if fold == held_out:
        return "test", f"fold-{fold}"
    return ("validation" if fold == (held_out + 1) % folds else "train"), ""


def hold_out(dataset: PreparedDataset, fold: int) -> PreparedDataset:
    """The same dataset, split for another test ``fold``, from 0; validation is the fold after it, training the others.

    With ``fold`` -1 it is returned as it was prepared.

    Only ``split``, ``test_set`` and the counts change; files and fingerprint are those of ``dataset``. Raises
    MedsegError: the dataset has no folds, or not this one.
    """
    if fold == -1:
        return dataset
    present = sorted(set(map(int, dataset.index["fold"])))
    name = project.display(dataset.folder)
    if present[0] < 0:
        raise MedsegError(f"{name} is not divided into folds: its split is fixed. Leave the fold out.")
    if fold not in present:
        raise MedsegError(f"{name} has no fold {fold}; there are {', '.join(map(str, present))}.")
    folds = dataset.info.get("folds", present[-1] + 1)
    table = dataset.index.copy()
    assigned = [fold_split(int(of_row), fold, folds) for of_row in table["fold"]]
    table["split"], table["test_set"] = map(list, zip(*assigned, strict=True))
    counts: dict[str, Any] = {split: int((table["split"] == split).sum()) for split in SPLITS}
    counts["test_sets"] = {f"fold-{fold}": counts["test"]}
    info = {**dataset.info, "counts": {**dataset.info.get("counts", {}), **counts}}
    return replace(dataset, info=info, index=table)


def stratified_groups(
    groups: Sequence[str], strata: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Give every group to one split; each split of a share above 0 has at least one.

    What is made small is the sum over splits and strata of (pictures - share * all pictures of the stratum)^2 / all
    pictures of the stratum: greedily, rare strata first (after Sechidis, Tsoumakas and Vlahavas 2011, "On the
    stratification of multi-label data"), then by moving groups; the best of several starts, drawn from ``seed``.

    ``groups`` and ``strata`` are the group (patient) and the stratum (phase) of every picture, in any order; ``shares``
    leads from a split to its share of the pictures, and they add up to 1. Raises MedsegError: shares that are no
    shares, or fewer groups than splits.
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

    def cost_with(group: int, split: int) -> float:
        table = held.copy()
        table[split] += counts[group]
        return cost(table)

    for position, group in enumerate(order):
        empty = [split for split in range(len(shares)) if split not in chosen]
        must_fill = len(order) - position <= len(empty)
        chosen[group] = min(empty if must_fill else range(len(shares)), key=partial(cost_with, group))
        held[chosen[group]] += counts[group]
    improved = True
    while improved:
        improved = False
        for group in order:
            if chosen.count(chosen[group]) < 2:
                continue  # would leave its split empty
            before, at = cost(held), chosen[group]
            held[at] -= counts[group]
            others = [split for split in range(len(shares)) if split != at]
            after, target = min(((cost_with(group, split), split) for split in others), default=(before, at))
            if after < before - 1e-9:
                chosen[group], improved = target, True
            held[chosen[group]] += counts[group]
    return cost(held), chosen
