import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from medseg.errors import MedsegError
from medseg.metrics import compare
from medseg.metrics.compare import BETTER, EQUIVALENT, UNSETTLED, WORSE, all_pairs, holm


def run_cases(scores, *, test_set="A", groups=None, truth=50):
    """Cases with the given Dice values; a case without truth where the value is NaN or ``truth`` is 0.

    Where there is no truth and yet a value, something was found.
    """
    scores = np.asarray(scores, float)
    ids = [f"case{i:03d}" for i in range(len(scores))]
    truth = np.where(np.isnan(scores), 0, truth)
    invented = np.where((truth == 0) & ~np.isnan(scores), 10, 0)
    table = {
        "test_set": test_set, "case_id": ids, "group": ids if groups is None else groups, "class": "polyp",
        "tp": 0, "fp": invented, "fn": truth, "tn": 100 - truth - invented, "dice": scores,
    }  # fmt: skip
    return pd.DataFrame(table)


def compare_runs(runs, **options):
    """The library's, for runs that are each one training."""
    return compare.compare_runs({name: [cases] for name, cases in runs.items()}, **options)


def row_of(table, run, test_set="A"):
    (row,) = table[(table["run"] == run) & (table["test_set"] == test_set)].to_dict("records")
    return row


# holm


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.01, 0.002], comparisons=10), [0.09, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.02]), [0.03, np.nan, 0.04])
    assert holm([]).size == 0


# compare_runs


RNG = np.random.default_rng(0)
BEST = RNG.uniform(0.6, 0.9, 30)
NOISE = RNG.normal(0, 0.05, 30)
NOISE -= NOISE.mean()


def test_better_worse_equivalent_and_not_settled():
    runs = {
        "poor": run_cases(BEST - 0.3 + NOISE),
        "best": run_cases(BEST),
        "twin": run_cases(BEST - 0.001 + NOISE / 25),
        "close": run_cases(BEST - 0.01 + NOISE),
    }
    table = compare_runs(runs, margin=0.01)
    assert table["run"].tolist() == ["poor", "twin", "close"]
    assert set(table["reference"]) == {"best"}
    row = row_of(table, "poor")
    assert row["difference"] == pytest.approx((NOISE - 0.3).mean())
    assert row["low"] < row["difference"] < row["high"] < 0
    assert (row["verdict"], row["note"], row["n"], row["n_groups"], row["trainings"]) == (WORSE, "", 30, 30, 1)
    assert row_of(table, "twin")["verdict"] == EQUIVALENT
    assert row_of(table, "close")["verdict"] == UNSETTLED
    # Without a margin nothing is equivalent; against a reference named beforehand a run may be better.
    assert row_of(compare_runs(runs), "twin")["verdict"] != EQUIVALENT
    assert row_of(compare_runs(runs, reference="poor"), "best")["verdict"] == BETTER


def test_each_test_set_has_its_own_best_and_pairs_do_not_depend_on_the_order_of_rows():
    scores = np.linspace(0.3, 0.8, 10)
    here, there = run_cases(scores), run_cases(scores, test_set="B")
    first = pd.concat([here.assign(dice=scores + 0.1 + NOISE[:10]), there])
    second = pd.concat([here, there.assign(dice=scores + 0.05)]).sample(frac=1, random_state=1)
    table = compare_runs({"first": first, "second": second})
    assert row_of(table, "second", "A")["difference"] == pytest.approx(-0.1 - NOISE[:10].mean())
    assert row_of(table, "first", "B")["difference"] == pytest.approx(-0.05)
    # A difference that never varies is no sample of anything.
    row = row_of(table, "first", "B")
    assert (row["low"], row["high"]) == pytest.approx((-0.05, -0.05))
    assert (row["verdict"], row["note"]) == (UNSETTLED, "10 of 10 groups have the same value")


def test_the_family_is_all_pairs_where_the_best_was_picked_and_the_rows_where_it_was_named():
    runs = {name: run_cases(BEST[:12] + np.roll(NOISE, k)[:12]) for k, name in enumerate("abcd")}
    pairs = all_pairs({name: [cases] for name, cases in runs.items()})
    assert pairs[["run", "reference"]].agg("".join, axis=1).tolist() == ["ab", "ac", "ad", "bc", "bd", "cd"]
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p"]))
    for row in compare_runs(runs).itertuples():
        same = pairs[(pairs[["run", "reference"]].isin([row.run, row.reference])).all(axis=1)].iloc[0]
        assert (row.p, row.p_holm) == pytest.approx((same["p"], same["p_holm"]))
    table = compare_runs(runs, reference="b")
    assert table["run"].tolist() == ["a", "c", "d"]
    np.testing.assert_allclose(table["p_holm"], holm(table["p"]))


def test_of_very_many_runs_each_is_compared_with_the_best_alone(monkeypatch):
    runs = {name: run_cases(BEST + np.roll(NOISE, k)) for k, name in enumerate("abcd")}
    every = compare_runs(runs)
    monkeypatch.setattr(compare, "_MOST_RUNS", 3)
    few = compare_runs(runs)
    np.testing.assert_allclose(few["p"], every["p"])
    np.testing.assert_allclose(few["p_holm"], holm(few["p"], 6))
    assert (few["p_holm"] >= every["p_holm"] - 1e-12).all()


def test_both_the_interval_and_the_corrected_p_must_agree():
    scores, noise = BEST[:12] * 0.8, NOISE[:12]
    runs = {
        "a": run_cases(scores),
        "b": run_cases(scores + 0.04 + 1.5 * noise),
        "c": run_cases(scores + 0.05 - 1.5 * noise),
    }
    row = row_of(compare_runs(runs), "a")
    assert row["high"] < 0
    assert row["p"] < 0.05 < row["p_holm"]
    assert row["verdict"] == UNSETTLED


def test_many_frames_of_few_sequences_are_no_proof():
    groups = np.repeat(["s1", "s2", "s3"], 100)
    scores = RNG.uniform(0.4, 0.8, 300)
    better = run_cases(scores + RNG.uniform(0.05, 0.15, 300), groups=groups)
    row = row_of(compare_runs({"a": run_cases(scores, groups=groups), "b": better}), "a")
    assert (row["n"], row["n_groups"], row["note"], row["verdict"]) == (300, 3, "only 3 groups", UNSETTLED)
    assert np.isnan([row["low"], row["high"], row["p"], row["p_holm"], row["detectable"]]).all()


def test_equal_runs_are_equivalent():
    row = row_of(compare_runs({"a": run_cases([0.5] * 9), "b": run_cases([0.5] * 9)}, margin=0.01), "b")
    assert (row["difference"], row["low"], row["high"], row["p"], row["p_holm"]) == (0, 0, 0, 1, 1)
    assert row["verdict"] == EQUIVALENT


def test_from_three_trainings_on_their_noise_is_part_of_interval_and_p():
    def runs(seeds):
        shifts = {"a": [0.05, 0.03, 0.07][:seeds], "b": [0.0, 0.02, -0.02][:seeds]}
        return {
            name: [run_cases(BEST + s + NOISE / (9 if name == "a" else 7)) for s in own] for name, own in shifts.items()
        }

    two, three = (compare.compare_runs(runs(seeds)).iloc[0] for seeds in (2, 3))
    assert two["trainings"] == 2
    assert (three["trainings"], three["difference"]) == (3, pytest.approx(-0.05, abs=0.01))
    assert three["high"] - three["low"] > 5 * (two["high"] - two["low"])
    assert three["p"] > two["p"]
    # By hand: a variance of .02^2 / 3 on either side, 4 degrees of freedom.
    reach = stats.t.isf(0.02, 4) * math.sqrt(2 * 0.02**2 / 3)
    assert three["high"] - three["difference"] == pytest.approx(reach, rel=0.02)


def test_means_have_intervals_of_their_own_inside_the_range_of_the_measure():
    runs = {"a": [run_cases(BEST)], "b": [run_cases([0.98, 1, 0.4, 1, 1, 1, 1])]}
    table = compare.means(runs, together=False)
    assert table[["run", "mean", "n", "n_groups", "trainings", "doubt"]].iloc[0].tolist() == [
        "a", pytest.approx(BEST.mean()), 30, 30, 1, "",
    ]  # fmt: skip
    assert table["low"][0] < BEST.mean() < table["high"][0]
    assert 0 <= table["low"][1] < table["high"][1] <= 1
    assert table["doubt"][1] == "5 of 7 groups have the same value"


def test_empty_truth_left_out_when_both_kept_empty_and_counted_when_one_did_not():
    careful = run_cases([0.5, 0.5, math.nan, math.nan])
    careless = run_cases([0.5, 0.5, 0, math.nan], truth=[50, 50, 0, 0])
    row = row_of(compare_runs({"careful": careful, "careless": careless}), "careless")
    assert row["n"] == 3
    assert row["difference"] == pytest.approx(-1 / 3)
    assert "in 1 case with nothing to find only one of the two found nothing" in row["note"]
    row = row_of(compare_runs({"careful": careful, "careless": careless}, reference="careless"), "careful")
    assert row["difference"] == pytest.approx(1 / 3)


def test_the_best_is_best_over_the_cases_that_are_compared():
    """A network that finds nothing where nothing is must not lose to one that finds something there."""
    careful = run_cases([0.5, 0.5, math.nan, math.nan])
    careless = run_cases([0.9, 0.9, 0, math.nan], truth=[50, 50, 0, 0])
    row = compare_runs({"careful": careful, "careless": careless}).iloc[0]
    assert (row["reference"], row["difference"]) == ("careful", pytest.approx(0.6 - 2 / 3))
    runs = {"careful": [careful], "careless": [careless]}
    assert compare.means(runs)["mean"].tolist() == pytest.approx([2 / 3, 0.6])
    assert compare.means(runs, together=False)["mean"].tolist() == pytest.approx([0.5, 0.6])
    assert compare.means(runs)["n"].tolist() == [3, 3]


def test_nothing_to_score_at_all():
    row = row_of(compare_runs({"a": run_cases([math.nan] * 3), "b": run_cases([math.nan] * 3)}), "b")
    assert (row["n"], row["n_groups"], row["verdict"]) == (0, 0, UNSETTLED)
    assert math.isnan(row["difference"])
    assert math.isnan(row["p"])
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
    a, b = (
        run_cases([0.5] * 5 + [empty, np.nan], truth=[50] * 5 + [0, 0]).assign(hd95=values)
        for values, empty in ((far, 0.0), (near, np.nan))
    )
    found = compare_runs({"a": a, "b": b}, metric="hd95", lower_is_better=True, bounds=(0, np.inf))
    row = row_of(found, "a")
    assert row["reference"] == "b"
    assert row["n"] == 6
    assert row["difference"] == pytest.approx((3 + 4 + 2 + 5 + 5 + 50) / 6)
    assert row["n_groups"] == 6
    assert row["note"].endswith("in 1 case with nothing to find only one of the two found nothing")
    with pytest.raises(MedsegError, match="hd95 of run a is not a score between 0 and 5"):
        compare_runs({"a": a, "b": b}, metric="hd95", lower_is_better=True, bounds=(0, 5))


def test_an_interval_ends_where_its_measure_does_and_beyond_every_value_it_is_in_doubt():
    rng = np.random.default_rng(1)
    distances = np.concatenate([rng.uniform(1, 3, 27), [400.0, 500.0, 600.0]])
    groups = [f"g{i // 5}" for i in range(30)]  # one of six holds all that is far off
    table = run_cases([0.5] * 30, groups=groups).assign(hd95=distances)
    (row,) = compare.means({"a": [table]}, metric="hd95", lower_is_better=True, bounds=(0, np.inf)).to_dict("records")
    assert row["low"] == 0
    assert row["high"] == 600  # of six such groups the bootstrap goes beyond, which no picture could be off
    assert row["doubt"]
    (row,) = compare.means({"a": [run_cases([0.98, 0.4, 1.0, 0.9, 1.0, 0.2])]}).to_dict("records")
    assert row["high"] == 1
    assert row["doubt"] == "the interval reaches beyond what can be"
    far = run_cases([0.5] * 30, groups=groups).assign(hd95=distances[::-1])
    found = compare_runs({"a": table, "b": far}, metric="hd95", lower_is_better=True, bounds=(0, np.inf))
    assert -600 <= found["low"].iloc[0] <= found["high"].iloc[0] <= 600


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_values_that_do_not_differ_have_no_interval(value):
    (row,) = compare.means({"a": [run_cases([value] * 8)]}).to_dict("records")
    assert row["mean"] == value
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])
    assert "the same value" in row["doubt"]


def test_cases_without_a_test_set_are_compared_too():
    a, b = (run_cases([0.4, 0.6]).assign(test_set=np.nan, dice=value) for value in (0.5, 0.7))
    assert row_of(compare_runs({"a": a, "b": b}), "a", "")["n"] == 2
