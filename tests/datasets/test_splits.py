import itertools
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.datasets import index
from medseg.datasets.splits import group_folds, hold_out, split_groups
from medseg.errors import MedsegError

sizes = st.lists(st.integers(1, 12), min_size=2, max_size=8)
fractions = st.floats(0.01, 0.99)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(sizes, fractions, st.integers(0, 5))
def test_whole_groups_as_near_to_the_fraction_as_can_be(sizes, fraction, seed):
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    chosen = split_groups(groups, fraction, seed)
    assert chosen < set(groups)
    assert chosen
    target = fraction * len(groups)
    possible = {
        sum(part) for n in range(1, len(sizes)) for part in itertools.combinations(sizes, n)
    }  # every proper choice
    count = sum(group in chosen for group in groups)
    assert abs(count - target) == pytest.approx(min(abs(total - target) for total in possible))


def test_order_of_the_samples_does_not_matter_and_the_seed_does():
    groups = [f"g{i:02d}" for i in range(40) for _ in range(5)]
    assert split_groups(groups, 0.2, 1) == split_groups(groups[::-1], 0.2, 1)
    assert len({frozenset(split_groups(groups, 0.2, seed)) for seed in range(5)}) > 1
    assert Counter(group in split_groups(groups, 0.2, 1) for group in groups) == {True: 40, False: 160}


def test_one_group_or_a_silly_fraction_is_refused():
    with pytest.raises(MedsegError, match=r"at least two groups.*only the group 'a'"):
        split_groups(["a", "a", "a"], 0.2, 0)
    with pytest.raises(MedsegError, match="at least two groups"):
        split_groups([], 0.2, 0)
    for fraction in (0, 1, -0.1, 20, float("nan")):
        with pytest.raises(MedsegError, match="between 0 and 1"):
            split_groups(["a", "b"], fraction, 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 4), min_size=3, max_size=12), st.integers(3, 5), st.integers(0, 3))
def test_folds_hold_whole_groups_in_equal_numbers(sizes, folds, seed):
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    if len(sizes) < folds:
        with pytest.raises(MedsegError, match=rf"{folds} folds need at least as many groups.*there are {len(sizes)}"):
            group_folds(groups, folds, seed)
        return
    fold_of = group_folds(groups, folds, seed)
    assert set(fold_of) == set(range(folds))
    by_group = set(zip(groups, fold_of, strict=True))
    assert len(by_group) == len(sizes)
    counts = Counter(fold for _, fold in by_group).values()
    assert max(counts) - min(counts) <= 1


def test_folds_depend_on_the_seed_and_not_on_the_order():
    groups = [f"ID{i:03d}" for i in range(20) for _ in range(2)]
    assert group_folds(groups[::-1], 5, 3)[::-1] == group_folds(groups, 5, 3)
    assert group_folds(groups, 5, 3) != group_folds(groups, 5, 4)
    with pytest.raises(MedsegError, match="at least 3 are needed"):
        group_folds(groups, 2, 0)


def test_another_fold_is_held_out_without_touching_the_dataset(polygon_dataset):
    before = polygon_dataset.index.copy()
    turned = hold_out(polygon_dataset, 2)
    split_of = dict(
        zip(turned.index["fold"], zip(turned.index["split"], turned.index["test_set"], strict=True), strict=True)
    )
    assert split_of == {2: ("test", "fold-2"), 0: ("validation", ""), 1: ("train", "")}
    assert turned.fingerprint == polygon_dataset.fingerprint
    assert turned.info["counts"]["test_sets"] == {"fold-2": 2}
    assert (turned.info["counts"]["train"], turned.info["counts"]["groups"]) == (2, 3)
    pd.testing.assert_frame_equal(polygon_dataset.index, before)
    pd.testing.assert_frame_equal(hold_out(turned, 0).index, before)
    index.check_index(turned.index)
    for fold in (3, -2):
        with pytest.raises(MedsegError, match=f"has no fold {fold}; there are 0, 1, 2"):
            hold_out(polygon_dataset, fold)
    assert hold_out(turned, -1) is turned


def test_a_dataset_with_a_fixed_split_has_no_fold_to_hold_out(polygon_dataset):
    polygon_dataset.index["fold"] = -1
    with pytest.raises(MedsegError, match="not divided into folds"):
        hold_out(polygon_dataset, 0)
    assert hold_out(polygon_dataset, -1) is polygon_dataset
