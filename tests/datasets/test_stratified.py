import random
from collections import Counter

import pytest

from medseg.datasets.splits import stratified_groups
from medseg.errors import MedsegError

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def population(seed=0, patients=60):
    rng = random.Random(seed)
    groups, strata = [], []
    for patient in range(patients):
        phase = rng.choices((1, 2, 3, 4), (0.5, 0.3, 0.15, 0.05))[0]
        for _ in range(rng.randint(1, 8)):
            groups.append(f"P{patient:03d}")
            strata.append(phase if rng.random() < 0.8 else 0)
    return groups, strata


def test_every_phase_has_its_share_in_every_split():
    groups, strata = population()
    split_of = stratified_groups(groups, strata, SHARES, seed=0)
    assert set(split_of) == set(groups)
    totals = Counter(strata)
    counts = Counter((split_of[group], phase) for group, phase in zip(groups, strata, strict=True))
    for phase, total in totals.items():
        for split, share in SHARES.items():
            assert abs(counts[split, phase] - share * total) <= max(0.1 * total, 4)


def test_four_patients_of_each_phase_are_spread_over_all_splits():
    groups = [f"P{patient}" for patient in range(16) for _ in range(4)]
    strata = [1 + patient % 4 for patient in range(16) for _ in range(4)]
    split_of = stratified_groups(groups, strata, SHARES, seed=3)
    for split, patients in (("train", 2), ("validation", 1), ("test", 1)):
        phases = Counter(1 + int(group[1:]) % 4 for group, found in split_of.items() if found == split)
        assert phases == dict.fromkeys((1, 2, 3, 4), patients)


def test_the_order_of_the_samples_does_not_matter_and_the_seed_does():
    groups, strata = population(1, patients=30)
    first = stratified_groups(groups, strata, SHARES, seed=0)
    order = list(range(len(groups)))
    random.Random(5).shuffle(order)
    assert stratified_groups([groups[i] for i in order], [strata[i] for i in order], SHARES, seed=0) == first
    assert any(stratified_groups(groups, strata, SHARES, seed=seed) != first for seed in range(1, 5))


def test_no_split_is_empty_and_a_share_of_zero_is():
    groups, strata = ["a"] * 50 + ["b", "c"], [1] * 52
    assert sorted(stratified_groups(groups, strata, SHARES, seed=0).values()) == ["test", "train", "validation"]
    small = {"train": 0.9, "validation": 0.05, "test": 0.05}  # by its share alone, training would take all three
    assert sorted(stratified_groups(["a", "b", "c"], [1, 1, 1], small, seed=0).values()) == sorted(small)
    two = stratified_groups(groups, strata, {"train": 0.5, "validation": 0.5, "test": 0}, seed=0)
    assert set(two.values()) == {"train", "validation"}


def test_too_few_patients_and_wrong_shares_are_refused():
    with pytest.raises(MedsegError, match=r"of 2 patient\(s\), but 3 splits"):
        stratified_groups(["a", "b"], [1, 2], SHARES, seed=0)
    for shares in ({"train": 0.9, "test": 0.2}, {"train": 1.2, "test": -0.2}):
        with pytest.raises(MedsegError, match="add up to 1"):
            stratified_groups(["a", "b"], [1, 2], shares, seed=0)
