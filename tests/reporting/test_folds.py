"""A configuration over its folds is one row: pooled cases, spread over folds, and folds that are lacking."""

from dataclasses import replace

import pandas as pd
import pytest
from class_runs import class_run, fold_runs
from synthetic_runs import bare_run

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.reporting import (
    answer,
    boundaries,
    curves,
    distributions,
    overlapping_scores,
    paired_tables,
    results,
    small_tables,
    statistics,
)
from medseg.reporting.comparison import compare
from medseg.reporting.cross_validation import HELD_OUT
from medseg.studies.handbone import patients


def mean_dice(runs: list[Run]) -> float:
    return pd.concat([run.cases() for run in runs])["dice"].mean()


def cell(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder):
    """Two networks over five folds, of 2 patients each."""
    return [*fold_runs(folder / "a", 0.95, architecture="near"), *fold_runs(folder / "b", 0.85, architecture="far")]


@pytest.fixture(scope="module")
def lacking(whole):
    """The better network lacks fold 3."""
    return [*whole[:3], whole[4], *whole[5:]]


def test_a_configuration_over_its_folds_is_one_with_every_case_once(whole):
    near, far = compare(whole).configurations
    assert (near.label, far.label) == ("near", "far")
    assert near.folds == far.folds == (0, 1, 2, 3, 4)
    assert near.lacking == far.lacking == ()
    assert near.seeds == [1]
    assert len(near.runs) == 5
    (cases,) = near.cases
    assert len(cases) == 5 * 2 * 2 * 3
    assert not cases.duplicated(["case_id", "class"]).any()
    assert cases.groupby("fold")["group"].unique().str.join(" ").to_dict()[3] == "ID006 ID007"


def test_the_folds_are_one_test_set_and_no_constant(whole):
    comparison = compare(whole)
    assert comparison.test_sets == [HELD_OUT]
    assert "fold" not in comparison.constant
    assert comparison.folds == [0, 1, 2, 3, 4]


def test_one_fold_for_all_stays_what_it_was(folder):
    comparison = compare([class_run(folder / name, 0.9, architecture=name, fold=0) for name in ("x", "y")])
    assert comparison.test_sets == ["fold-0"]
    assert comparison.constant["fold"] == 0
    assert comparison.folds == []
    assert [c.folds for c in comparison.configurations] == [(), ()]
    assert "Cross-validation" not in repr(results.table(comparison))


def test_the_mean_is_over_all_cases_and_the_spread_over_the_folds_own_means(whole):
    text = repr(results.table(compare(whole), digits=4))
    own = pd.Series([run.cases()["dice"].mean() for run in whole[:5]])
    line = next(line for line in text.splitlines() if line.startswith("near"))
    assert f" {mean_dice(whole[:5]):.4f}, " in line
    assert f", ± {own.std():.4f} over 5 folds" in line
    assert "near, 5 folds" in text
    assert "Cross-validation: 5 folds, every case scored by the network that did not see it." in text
    assert "held-out folds n = 20 with 3 classes each" in text
    assert "over the seeds" not in text


def test_seeds_and_folds_are_two_spreads(folder):
    runs = fold_runs(folder / "seeds", 0.9, seeds=(1, 2, 3), architecture="one")
    (one,) = compare(runs).configurations
    assert one.seeds == [1, 2, 3]
    assert [len(table) for table in one.cases] == [60] * 3
    by_seed = pd.Series([mean_dice([run for run in runs if run.record["seed"] == seed]) for seed in one.seeds])
    by_fold = pd.Series([mean_dice([run for run in runs if run.id.endswith(f"f{fold}")]) for fold in range(5)])
    text = repr(results.table(compare(runs), digits=4))
    assert f"± {by_fold.std():.4f} over 5 folds, ± {by_seed.std():.4f} over 3 seeds" in text
    assert "5 folds, 3 seeds" in text
    assert "Seeds: 1, 2, 3 for every configuration" in text


def test_means_have_a_row_for_every_run_with_its_fold(whole):
    means = results.means(compare(whole))
    assert len(means) == 10
    assert list(means["fold"]) == [0, 1, 2, 3, 4] * 2
    assert set(means["test_set"]) == {HELD_OUT}
    assert means["mean_dice"].iloc[7] == pytest.approx(whole[7].cases()["dice"].mean())


def test_the_statistics_are_over_the_patients_of_all_folds(whole):
    found = statistics.differences(compare(whole))
    assert list(found["n_groups"]) == [10]
    assert list(found["n"]) == [60]
    assert "One cross-validation each: intervals and verdicts hold for these trained networks" in repr(
        answer.claim(compare(whole))
    )


def test_tables_and_figures_take_every_fold(whole):
    comparison = compare(whole)
    text = repr(boundaries.measures(comparison))
    assert f"{mean_dice(whole[:5]):.4f}, ±" in text
    assert "over 5 folds" in text
    assert "Every fold has a curve" in curves.learning(comparison, "loss").caption
    assert "far on held-out folds: lowest Pisiform" in overlapping_scores.scores(comparison).alt
    assert "Pisiform" in repr(overlapping_scores.worst(comparison))
    assert "near on held-out folds" in overlapping_scores.area_errors(comparison).caption
    assert patients.errors(comparison).alt.startswith("Error of 10 patients.")
    assert "seeds" not in distributions.scores(comparison).caption
    assert "far on held-out folds -0." in distributions.paired(comparison).alt


def test_every_fold_has_a_curve_and_a_line_in_the_list_of_runs(folder):
    runs = [bare_run(folder / f"c{f}", {f"fold-{f}": [0.5]}, architecture="one", fold=f, seed=1) for f in range(3)]
    figure = curves.learning(compare(runs, scored=False))
    assert figure.alt.count("one from") == 1
    assert len(compare(runs).configurations[0].runs) == 3
    text = repr(small_tables.compared_runs(compare(runs)))
    assert [f"one, fold {fold}" in text for fold in range(4)] == [True, True, True, False]


def test_a_row_that_lacks_a_fold_is_named_and_compared_on_what_all_have(whole, lacking):
    comparison = compare(lacking)
    near, far = comparison.configurations
    assert near.folds == (0, 1, 2, 4)
    assert near.lacking == ((1, 3),)
    assert far.lacking == ()
    text = repr(results.table(comparison, digits=4))
    assert "near, 4 folds, lacks fold 3" in text
    assert "Incomplete: near lacks fold 3." in text
    assert "decided on what all have: folds 0, 1, 2 and 4." in text
    assert f" {mean_dice(lacking[:4]):.4f}, " in text  # of its own folds
    assert f"{mean_dice(whole[5:]):.4f}" in text
    found = statistics.differences(comparison)
    assert list(found["n"]) == [4 * 12]
    assert list(found["n_groups"]) == [8]
    shared = pd.concat([whole[5 + fold].cases() for fold in (0, 1, 2, 4)])["dice"].mean()
    assert found["difference"].iloc[0] == pytest.approx(shared - mean_dice(lacking[:4]))
    assert "near lacks fold 3" in repr(answer.claim(comparison))
    assert "near lacks fold 3" in repr(paired_tables.table(comparison))
    assert "lacks fold 3" in repr(boundaries.measures(comparison))


def test_the_easy_folds_alone_make_nobody_the_best(folder):
    """The worse network, with its easiest fold alone, has the highest mean of all, and is not best for that."""
    good = fold_runs(folder / "good", 0.90, architecture="good")
    poor = fold_runs(folder / "poor", 0.89, [1], architecture="poor")
    assert mean_dice(poor) > mean_dice(good)
    comparison = compare([*good, *poor])
    shared = good[1].cases()["dice"].mean()
    assert f"good has the highest mean Dice, {shared:.3f}" in repr(answer.claim(comparison))
    assert "; 4 cases with 3 classes each from 2 patients" in repr(answer.claim(comparison))
    turned = replace(comparison, configurations=comparison.configurations[::-1])  # as a ranking does
    assert f"good has the highest mean Dice, {shared:.3f}" in repr(answer.claim(turned))
    assert statistics.best(comparison, HELD_OUT).name == "good"
    assert patients.errors(comparison).alt.startswith("Error of 10 patients.")  # what it has, not what all have
    text = repr(results.table(comparison))
    assert f" {mean_dice(good):.3f}, " in text
    assert f" {mean_dice(poor):.3f}?" in text  # one fold of two patients settles nothing
    outlines = [line for line in repr(boundaries.measures(comparison)).splitlines() if "held-out folds" in line]
    assert "?" not in next(line for line in outlines if line.startswith("good"))
    assert "?" in next(line for line in outlines if line.startswith("poor"))
    assert set(statistics.differences(comparison)["n"]) == {12}


def test_a_seed_that_lacks_a_fold_takes_it_from_all_in_the_statistics(folder):
    """A case that one seed did not score must not count as perfect for it."""
    runs = fold_runs(folder / "two", 0.6, seeds=(1, 2), architecture="two")
    other = fold_runs(folder / "other", 0.6, architecture="other")
    comparison = compare([run for run in runs if run.id != "s2-f1"] + other)
    two = comparison.configurations[0]
    assert two.lacking == ((2, 1),)
    assert two.lacks == "lacks fold 1 of seed 2"
    assert [set(table["fold"]) for c in comparison.shared for table in c.cases] == [{0, 2, 3, 4}] * 3
    assert statistics.differences(comparison)["difference"].abs().max() < 0.01
    kept = [run for run in runs if not run.id.endswith("f1")]
    text = repr(results.table(comparison, digits=4))
    assert f"{mean_dice(kept):.4f}" in next(line for line in text.splitlines() if line.startswith("two"))
    assert "two, 5 folds, 2 seeds, lacks fold 1 of seed 2" in text
    assert "over 4 folds" in next(line for line in text.splitlines() if line.startswith("two"))
    assert f"{mean_dice(kept):.4f}" in repr(boundaries.measures(comparison))


def test_without_a_fold_in_common_it_is_said_who_lacks_what(folder):
    runs = [class_run(folder / f"lone{fold}", 0.9, architecture=f"n{fold}", fold=fold) for fold in (0, 1)]
    with pytest.raises(MedsegError, match=r"n0: lacks fold 1\n  - n1: lacks fold 0\n.*again for the folds"):
        answer.claim(compare(runs))


def test_other_cases_in_the_same_folds_are_still_refused(folder, lacking):
    cut = [class_run(folder / "cut" / str(f), 0.7, patients=2, first=2 * f, architecture="cut", fold=f, seed=1)
           for f in range(5)]  # fmt: skip
    cut[1].write_table("cases.csv", cut[1].cases().iloc[:-1])
    with pytest.raises(MedsegError, match=r"different cases: held-out folds / ID003-R / Radius missing from cut"):
        statistics.differences(compare([*lacking, *cut]))


def test_a_case_that_two_folds_held_out_is_named(folder):
    runs = [class_run(folder / f"twice{fold}", 0.9, patients=2, first=fold, fold=fold) for fold in (0, 1)]
    with pytest.raises(MedsegError, match=r"ID001-L, ID001-R; the first by the runs twice0 \(fold 0\) and twice1"):
        _ = compare(runs).configurations[0].cases


def test_a_fact_that_one_fold_does_not_know_stays_known_of_the_others(folder):
    runs = [class_run(folder / f"known{f}", 0.9, patients=2, first=2 * f, fold=f, known=f > 0) for f in range(3)]
    (cases,) = compare(runs).configurations[0].cases
    assert cases.groupby("fold")["sex"].count().to_dict() == {0: 0, 1: 12, 2: 12}
    assert patients.errors(compare(runs)).alt.startswith("Error of 6 patients. sex:")
