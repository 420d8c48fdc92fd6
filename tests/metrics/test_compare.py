import math

import numpy as np
import pandas as pd
import pytest

from medseg.errors import MedsegError
from medseg.metrics.compare import compare_runs, holm, paired_bootstrap, signed_rank_p


def run_cases(scores, *, test_set="A", groups=None, truth=50):
    """Cases with the given Dice values; a case without truth where the value is NaN or ``truth`` is 0."""
    scores = np.asarray(scores, float)
    ids = [f"case{i:03d}" for i in range(len(scores))]
    truth = np.where(np.isnan(scores), 0, truth)
    table = {
        "test_set": test_set, "case_id": ids, "group": ids if groups is None else groups, "class": "polyp",
        "tp": 0, "fp": 0, "fn": truth, "tn": 100 - truth, "dice": scores,
    }  # fmt: skip
    return pd.DataFrame(table)


def row_of(table, run, test_set="A"):
    (row,) = table[(table["run"] == run) & (table["test_set"] == test_set)].to_dict("records")
    return row


# paired_bootstrap


def test_bootstrap_of_single_cases_is_that_of_scipy():
    from scipy import stats

    differences = np.random.default_rng(3).normal(0.02, 0.1, 60)
    mean, low, high = paired_bootstrap(differences, range(60), samples=20000)
    theirs = stats.bootstrap((differences,), np.mean, n_resamples=20000, method="percentile", rng=0)
    assert mean == pytest.approx(differences.mean())
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-3)


def test_bootstrap_draws_whole_groups_by_hand():
    # Two groups, so that a sample is (a, a), (a, b), (b, a) or (b, b): means 1, 1/4 of weight 4 cases, 0.
    differences, groups = [1, 0, 0, 0], ["a", "b", "b", "b"]
    mean, low, high = paired_bootstrap(differences, groups, confidence=0.95)
    assert (mean, low, high) == (0.25, 0, 1)
    # The median of the means is that of the mixed samples.
    assert paired_bootstrap(differences, groups, confidence=1e-9)[1] == 0.25


def test_repeating_the_cases_of_each_group_brings_no_certainty():
    values = np.random.default_rng(0).normal(0, 1, 12)
    once = paired_bootstrap(values, range(12))
    often = paired_bootstrap(np.repeat(values, 50), np.repeat(range(12), 50))
    as_if_independent = paired_bootstrap(np.repeat(values, 50), range(600))
    assert often == pytest.approx(once)
    assert as_if_independent[2] - as_if_independent[1] < 0.3 * (once[2] - once[1])


def test_bootstrap_repeats_for_a_seed_and_follows_the_confidence():
    values, groups = np.random.default_rng(1).normal(size=40), np.arange(40) // 2
    assert paired_bootstrap(values, groups, seed=5) == paired_bootstrap(values, groups, seed=5)
    assert paired_bootstrap(values, groups, seed=5) != paired_bootstrap(values, groups, seed=6)
    _, low, high = paired_bootstrap(values, groups)
    _, low_50, high_50 = paired_bootstrap(values, groups, confidence=0.5)
    assert low < low_50 < high_50 < high


def test_bootstrap_of_one_group_and_of_nothing():
    mean, low, high = paired_bootstrap([0.1, 0.3], ["a", "a"])
    assert mean == pytest.approx(0.2)
    assert math.isnan(low)
    assert math.isnan(high)
    assert np.isnan(paired_bootstrap([], [])).all()


# signed_rank_p and holm


def test_signed_ranks_by_hand():
    # Ranks 1..6, all positive but rank 1: sums of negative ranks <= 1 arise in 2 of 64 ways, both sides 4 of 64.
    assert signed_rank_p([-1, 2, 3, 4, 5, 6]) == pytest.approx(4 / 64)
    assert signed_rank_p([1, 2, 3, 4, 5]) == pytest.approx(2 / 32)


def test_zeros_are_dropped_and_ties_counted_exactly():
    assert signed_rank_p([0, 0, 1, 2, 3, 4, 5]) == signed_rank_p([1, 2, 3, 4, 5])
    assert signed_rank_p([0.1] * 6) == pytest.approx(2 / 64)
    # Equal but for rounding: at most one of five signs is negative in 6 of 32 ways.
    assert signed_rank_p([0.3 - 0.2, 0.5 - 0.4, 0.7 - 0.6, 0.9 - 0.8, -0.1]) == pytest.approx(12 / 32)


@pytest.mark.parametrize("differences", [[], [0.0], [0.0] * 30, [1e-17, -1e-17]])
def test_no_difference_gives_p_of_one(differences):
    assert signed_rank_p(differences) == 1


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.01, 0.002], comparisons=10), [0.09, 0.02])
    assert holm([]).size == 0


# compare_runs


def test_a_clear_and_an_unclear_difference():
    rng = np.random.default_rng(0)
    best = rng.uniform(0.6, 0.9, 30)
    close = best - 0.01 + np.resize([0.1, -0.1], 30)
    poor = best - 0.3 + rng.normal(0, 0.05, 30)
    table = compare_runs({"poor": run_cases(poor), "best": run_cases(best), "close": run_cases(close)})
    assert table["run"].tolist() == ["poor", "close"]
    assert set(table["reference"]) == {"best"}
    row = row_of(table, "poor")
    assert row["difference"] == pytest.approx((poor - best).mean())
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["distinguishable"] is True
    assert row["note"] == ""
    assert (row["n"], row["n_groups"]) == (30, 30)
    assert row_of(table, "close")["distinguishable"] is False


def test_each_test_set_has_its_own_best_and_pairs_do_not_depend_on_the_order_of_rows():
    scores = np.linspace(0.3, 0.8, 10)
    here, there = run_cases(scores), run_cases(scores, test_set="B")
    first = pd.concat([here.assign(dice=scores + 0.1), there])
    second = pd.concat([here, there.assign(dice=scores + 0.05)]).sample(frac=1, random_state=1)
    table = compare_runs({"first": first, "second": second})
    assert row_of(table, "second", "A")["difference"] == pytest.approx(-0.1)
    assert row_of(table, "first", "B")["difference"] == pytest.approx(-0.05)
    # A difference that never varies: an interval of no width, and the p of the ten signs.
    row = row_of(table, "first", "B")
    assert (row["low"], row["high"], row["p"]) == pytest.approx((-0.05, -0.05, 2 / 2**10))
    assert row["distinguishable"] is True


def test_the_family_is_all_pairs_where_the_best_was_picked_and_the_rows_where_it_was_named():
    scores = np.linspace(0.3, 0.8, 8)
    runs = {name: run_cases(scores + shift) for name, shift in zip("abcd", (0, 0.01, 0.02, 0.03), strict=True)}
    raw = 2 / 2**8
    assert sorted(compare_runs(runs)["p_holm"]) == pytest.approx([6 * raw] * 3)
    table = compare_runs(runs, reference="b")
    assert table["run"].tolist() == ["a", "c", "d"]
    assert sorted(table["p_holm"]) == pytest.approx([3 * raw] * 3)
    assert np.sign(table["difference"]).tolist() == [-1, 1, 1]


def test_both_the_interval_and_the_corrected_p_must_agree():
    # Interval excludes 0 and the raw p is below .05, but not after correction for 3 pairs of runs.
    scores = np.linspace(0.3, 0.8, 6)
    table = compare_runs({name: run_cases(scores + shift) for name, shift in (("a", 0), ("b", 0.01), ("c", 0.1))})
    assert (table["high"] < 0).all()
    assert (table["p"] < 0.05).all()
    assert (table["p_holm"] > 0.05).all()
    assert not table["distinguishable"].any()


def test_many_frames_of_few_sequences_are_no_proof():
    rng = np.random.default_rng(0)
    groups = np.repeat(["s1", "s2", "s3"], 100)
    scores = rng.uniform(0.4, 0.8, 300)
    table = compare_runs(
        {"a": run_cases(scores, groups=groups), "b": run_cases(scores + rng.uniform(0.05, 0.15, 300), groups=groups)}
    )
    row = row_of(table, "a")
    assert (row["n"], row["n_groups"]) == (300, 3)
    assert row["p"] == pytest.approx(2 / 8)
    assert row["distinguishable"] is False
    assert "only 3 group(s)" in row["note"]


def test_one_group_has_no_interval():
    table = compare_runs({"a": run_cases([0.1, 0.2], groups="s"), "b": run_cases([0.5, 0.6], groups="s")})
    row = row_of(table, "a")
    assert row["difference"] == pytest.approx(-0.4)
    assert math.isnan(row["low"])
    assert row["p"] == 1
    assert row["distinguishable"] is False
    assert "only 1 group(s)" in row["note"]


def test_equal_runs_are_not_distinguishable():
    row = row_of(compare_runs({"a": run_cases([0.5] * 9), "b": run_cases([0.5] * 9)}), "b")
    assert (row["difference"], row["low"], row["high"], row["p"], row["p_holm"]) == (0, 0, 0, 1, 1)
    assert row["distinguishable"] is False


def test_empty_truth_left_out_when_both_kept_empty_and_counted_when_one_did_not():
    careful = run_cases([0.5, 0.5, math.nan, math.nan])
    careless = run_cases([0.5, 0.5, 0, math.nan], truth=[50, 50, 0, 0])
    row = row_of(compare_runs({"careful": careful, "careless": careless}), "careless")
    assert row["n"] == 3
    assert row["difference"] == pytest.approx(-1 / 3)
    assert "1 pair(s) with empty truth" in row["note"]
    row = row_of(compare_runs({"careful": careful, "careless": careless}, reference="careless"), "careful")
    assert row["difference"] == pytest.approx(1 / 3)


def test_nothing_to_score_at_all():
    row = row_of(compare_runs({"a": run_cases([math.nan] * 3), "b": run_cases([math.nan] * 3)}), "b")
    assert (row["n"], row["n_groups"], row["p"]) == (0, 0, 1)
    assert math.isnan(row["difference"])
    assert row["distinguishable"] is False
    assert row["note"] == "no case was scored"


def test_one_run_or_none_compares_with_nothing():
    columns = compare_runs({"a": run_cases([0.5]), "b": run_cases([0.5])}).columns.tolist()
    for runs in ({}, {"a": run_cases([0.5])}):
        table = compare_runs(runs)
        assert table.empty
        assert table.columns.tolist() == columns


def test_runs_scored_on_different_cases_are_refused_by_name():
    full, short = run_cases([0.5, 0.6, 0.7]), run_cases([0.5, 0.6])
    for runs in ({"full": full, "short": short}, {"short": short, "full": full}):
        with pytest.raises(MedsegError, match="A / case002 / polyp missing from short"):
            compare_runs(runs)


def test_runs_scored_against_different_truth_are_refused():
    with pytest.raises(MedsegError, match=r"different truth.*A / case001 / polyp"):
        compare_runs({"a": run_cases([0.5, 0.6]), "b": run_cases([0.5, 0.6], truth=[50, 51])})
    with pytest.raises(MedsegError, match="different truth"):
        compare_runs({"a": run_cases([0.5]), "b": run_cases([0.5]).assign(tn=300)})
    with pytest.raises(MedsegError, match="different truth"):
        compare_runs({"a": run_cases([0.5]), "b": run_cases([0.5], groups="other")})


def test_other_faults_of_the_tables_are_named():
    cases = run_cases([0.5, 0.6])
    with pytest.raises(MedsegError, match=r"no run 'c'.*a, b"):
        compare_runs({"a": cases, "b": cases}, reference="c")
    with pytest.raises(MedsegError, match=r"run b lack the column\(s\) iou"):
        compare_runs({"a": cases.assign(iou=0.5), "b": cases}, metric="iou")
    with pytest.raises(MedsegError, match="run b hold A / case000 / polyp more than once"):
        compare_runs({"a": cases, "b": pd.concat([cases, cases[:1]])})
    with pytest.raises(MedsegError, match="hd95 of run a is not a score"):
        compare_runs({"a": cases.assign(hd95=12.0), "b": cases.assign(hd95=0.0)}, metric="hd95")


def test_of_distances_the_least_is_best_and_an_empty_pair_counts_as_none():
    near, far = [1.0, 2.0, 3.0, 2.0, 1.0, np.nan, np.nan], [4.0, 6.0, 5.0, 7.0, 6.0, 50.0, np.nan]
    a, b = (run_cases([0.5] * 5 + [np.nan] * 2).assign(hd95=values) for values in (far, near))
    found = compare_runs({"a": a, "b": b}, metric="hd95", lower_is_better=True, bounds=(0, np.inf))
    row = row_of(found, "a")
    assert row["reference"] == "b"
    assert row["n"] == 6
    assert row["difference"] == pytest.approx((3 + 4 + 2 + 5 + 5 + 50) / 6)
    assert row["low"] > 0
    with pytest.raises(MedsegError, match="hd95 of run a is not a score between 0 and 5"):
        compare_runs({"a": a, "b": b}, metric="hd95", lower_is_better=True, bounds=(0, 5))


def test_cases_without_a_test_set_are_compared_too():
    a, b = (run_cases([0.4, 0.6]).assign(test_set=np.nan, dice=value) for value in (0.5, 0.7))
    assert row_of(compare_runs({"a": a, "b": b}), "a", "")["n"] == 2
