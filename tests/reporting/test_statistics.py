import numpy as np
import pytest
from synthetic_runs import bare_run

from medseg.reporting import statistics
from medseg.reporting.comparison import compare

RNG = np.random.default_rng(3)
BASE = RNG.uniform(0.5, 0.8, 24).round(2).tolist()


def made(tmp_path, *offsets, groups=24, **extra):
    runs = [
        bare_run(
            tmp_path / f"r{i}", {"ETIS": [round(v + offset, 2) for v in BASE]}, groups=groups, backbone=f"b{i}", **extra
        )
        for i, offset in enumerate(offsets)
    ]
    return compare(runs)


def test_a_clear_difference_is_claimed_with_its_size(tmp_path):
    claim = repr(statistics.claim(made(tmp_path, 0.1, 0.0)))
    assert claim.startswith("On ETIS, b0 has the highest mean Dice")
    assert "It is 0.100 above b1 (95 % interval 0.100 to 0.100, p < 0.001)." in claim
    assert "One seed per configuration" in claim


def test_equal_runs_are_not_told_apart(tmp_path):
    comparison = made(tmp_path, 0.0, 0.0, 0.0)
    assert "but b1 and b2 cannot be told apart from it." in repr(statistics.claim(comparison))
    assert not statistics.differences(comparison)["distinguishable"].any()


def test_tied_and_clearly_worse_runs_are_both_named(tmp_path):
    claim = repr(statistics.claim(made(tmp_path, 0.1, 0.1, 0.0)))
    assert "b1 cannot be told apart from it. It is 0.100 above b2" in claim


def test_many_tied_runs_are_counted(tmp_path):
    claim = repr(statistics.claim(made(tmp_path, *[0.0] * 6)))
    assert "all of the 5 others cannot be told apart" in claim


def test_few_groups_allow_no_claim(tmp_path):
    claim = repr(statistics.claim(made(tmp_path, 0.2, 0.0, groups=3)))
    assert "24 cases from 3 patients or sequences" in claim
    assert "too few to say" in claim


def test_a_single_configuration_is_only_described(tmp_path):
    comparison = made(tmp_path, 0.0)
    assert repr(statistics.claim(comparison)).startswith("On ETIS, b0 reaches a mean Dice of 0.")
    assert "nothing to compare" in repr(statistics.table(comparison))


def test_the_table_holds_every_comparison(runs):
    comparison = compare(runs)
    found, text = statistics.differences(comparison), repr(statistics.table(comparison))
    assert len(found) == 6
    for entry in found.itertuples():
        assert any(
            entry.run in line and entry.test_set in line and statistics.signed(entry.difference) in line
            for line in text.splitlines()
        )


def test_seeds_are_averaged_case_by_case(tmp_path):
    scores = {1: [0.2, 0.6], 2: [0.4, 0.8]}
    seeds = [bare_run(tmp_path / f"s{s}", {"ETIS": v}, backbone="x", seed=s) for s, v in scores.items()]
    other = bare_run(tmp_path / "o", {"ETIS": [0.1, 0.1]}, backbone="y", seed=1)
    one, two = compare([*seeds, other]).configurations
    assert statistics.case_differences(one, two, "ETIS") == pytest.approx([0.2, 0.6])
    assert statistics.best(compare([*seeds, other]), "ETIS").name == "x"
