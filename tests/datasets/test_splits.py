import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.datasets.splits import split_groups
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
