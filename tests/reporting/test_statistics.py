import numpy as np
import pytest
from synthetic_runs import bare_run

from medseg.metrics.overlap import with_overlap
from medseg.reporting import answer, paired_tables, statistics
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import signed

RNG = np.random.default_rng(3)
BASE = RNG.uniform(0.5, 0.8, 24)


def made(tmp_path, *offsets, groups=24, spread=0.004, seeds=(1,), training=0.0, count=24):
    """A run per offset and seed: Dice of BASE plus the offset, with noise of the cases and of the trainings."""
    rng = np.random.default_rng(5)
    runs = []
    for i, offset in enumerate(offsets):
        for place, seed in enumerate(seeds):
            shift = offset + training * (place - (len(seeds) - 1) / 2)
            scores = np.clip(BASE + shift + rng.normal(0, spread, 24), 0, 1)[:count]
            folder = tmp_path / f"r{i}-{seed}"
            runs.append(bare_run(folder, {"ETIS": scores.tolist()}, groups=groups, backbone=f"b{i}", seed=seed))
    return compare(runs)


def words(comparison, **options):
    return repr(answer.claim(comparison, **options))


def test_one_training_beat_another(tmp_path):
    comparison = made(tmp_path, 0.1, 0.0)
    text = words(comparison)
    row = statistics.differences(comparison).iloc[0]
    assert text.startswith("On ETIS, b0 has the highest mean Dice, 0.73")
    assert "24 cases from 24 patients or sequences; one training each; margin 0.01)" in text
    interval = f"{-row['high']:.3f} to {-row['low']:.3f}"
    assert (
        f"This training of b0 beat this training of b1, by {-row['difference']:.3f} (95 % interval {interval}" in text
    )
    assert "takes three seeds or more" in text
    assert "is better than" not in text


def test_three_trainings_let_the_configurations_speak(tmp_path):
    text = words(made(tmp_path, 0.1, 0.0, seeds=(1, 2, 3), training=0.005))
    assert "3 trainings each" in text
    assert "b0 is better than b1, by 0.1" in text
    assert "takes three seeds" not in text
    assert "this training" not in text.lower()


def test_three_trainings_that_scatter_settle_nothing(tmp_path):
    text = words(made(tmp_path, 0.02, 0.0, seeds=(1, 2, 3), training=0.03))
    assert "Whether b1 differs from it is not settled; 24 such groups can tell differences of about 0.1" in text
    alone = words(made(tmp_path / "one", 0.02, 0.0))
    assert "This training of b0 beat" in alone


def test_unequal_numbers_of_trainings_are_told(tmp_path):
    often = made(tmp_path, 0.1, 0.0, seeds=(1, 2, 3), training=0.005).runs
    once = made(tmp_path / "once", 0.2, 0.05).runs[0]
    once.update(parameters={"backbone": "single", "seed": 1})
    comparison = compare([*often, once])
    text = words(comparison)
    assert "single has the highest mean Dice" in text
    assert "one training; margin 0.01)" in text
    assert "This training of single beat the trainings at hand of b0 and b1, of which b0 comes nearest, by 0.1" in text
    assert "Trained fewer than three times: single. Intervals and verdicts on these hold for" in text
    rows = repr(paired_tables.table(comparison))
    assert rows.count("trained 3 : 1") == 2


def test_equal_runs_are_equivalent_within_the_margin_only(tmp_path):
    comparison = made(tmp_path, 0.0, 0.0, 0.0)
    assert " are equivalent to it: at most 0.00" in words(comparison)
    assert set(statistics.differences(comparison)["verdict"]) == {"equivalent"}
    assert "equivalent" not in words(comparison, margin=0.0001)


def test_one_winner_of_three(tmp_path):
    text = words(made(tmp_path, 0.1, 0.05, 0.0))
    assert "beat this training of b1 and b2, of which b1 comes nearest, by 0.05" in text


def test_all_three_verdicts_stand_in_one_paragraph(tmp_path):
    text = words(made(tmp_path, 0.1, 0.1, 0.0))
    assert "is equivalent to it" in text
    assert "of b2, by 0." in text


def test_many_runs_are_counted(tmp_path):
    assert "all 5 others are equivalent" in words(made(tmp_path, *[0.0] * 6))


def test_few_groups_allow_no_claim(tmp_path):
    text = words(made(tmp_path, 0.2, 0.0, groups=3))
    assert "24 cases from 3 patients or sequences" in text
    assert "(no interval: only 3 groups;" in text
    assert "Whether b1 differs from it is not settled: only 3 groups." in text
    assert "beat" not in text


def test_a_single_configuration_is_only_described(tmp_path):
    comparison = made(tmp_path, 0.0)
    mean = statistics.means(comparison).iloc[0]
    text = words(comparison)
    assert text.startswith(
        f"On ETIS, b0 reaches a mean Dice of {mean['mean']:.3f} (95 % interval {mean['low']:.3f} to "
    )
    assert "trained networks on other cases" not in text
    assert "nothing to compare" in repr(paired_tables.table(comparison))


def test_marks_say_what_the_verdicts_say(tmp_path):
    clear = statistics.marks(made(tmp_path / "clear", 0.1, 0.1, 0.0))
    assert sorted(clear.values()) == ["best", "equivalent"]
    assert ("b2", "ETIS") not in clear
    opened = statistics.marks(made(tmp_path / "open", 0.1, 0.09, 0.0, spread=0.05))
    assert opened == {("b1", "ETIS"): "unsettled"}


def test_a_margin_is_for_shares_of_which_more_is_better(tmp_path):
    runs = made(tmp_path, 0.0, 0.0).runs
    for run in runs:
        run.write_table("cases.csv", run.cases().assign(mae=0.02, s_measure=0.9, hd95=3.0))
    comparison = compare(runs)
    verdicts = {m: statistics.differences(comparison, m)["verdict"].iloc[0] for m in ("s_measure", "mae", "hd95")}
    assert verdicts == {"s_measure": "equivalent", "mae": "not settled", "hd95": "not settled"}


def test_the_table_holds_every_comparison(runs):
    comparison = compare(runs)
    found, text = statistics.differences(comparison), repr(paired_tables.table(comparison))
    assert len(found) == 6
    names = {c.label: (c.name, c.details) for c in comparison.configurations}
    for entry in found.itertuples():
        assert any(
            all(text in line for text in (*names[entry.run], entry.test_set, signed(entry.difference)))
            for line in text.splitlines()
        )


def test_seeds_are_averaged_case_by_case(tmp_path):
    scores = {1: [0.2, 0.6], 2: [0.4, 0.8]}
    seeds = [bare_run(tmp_path / f"s{s}", {"ETIS": v}, backbone="x", seed=s) for s, v in scores.items()]
    other = bare_run(tmp_path / "o", {"ETIS": [0.1, 0.1]}, backbone="y", seed=1)
    comparison = compare([*seeds, other])
    one, two = (c.label for c in comparison.configurations)
    assert statistics.case_differences(comparison, one, two, "ETIS") == pytest.approx([0.2, 0.6])
    assert statistics.best(compare([*seeds, other]), "ETIS").name == "x"


def test_a_case_with_nothing_to_find_is_explained_where_it_counts(tmp_path):
    comparison = made(tmp_path, 0.1, 0.0)
    assert "nothing to find" not in words(comparison)
    run = comparison.runs[0]
    cases = run.cases()
    empty = cases.assign(tp=0, fn=0, fp=0, tn=1_000_000).where(cases["case_id"] == "ETIS-00", cases)
    run.write_table("cases.csv", with_overlap(empty))
    other = comparison.runs[1]
    found = other.cases()
    false = found.assign(tp=0, fn=0, fp=100, tn=999_900).where(found["case_id"] == "ETIS-00", found)
    other.write_table("cases.csv", with_overlap(false))
    comparison = compare([run, other])
    assert "decide who is first" not in words(comparison)
    said = "it counts 0 for that one and 1 for those that rightly found nothing"
    assert said in words(comparison)
    assert said in repr(paired_tables.table(comparison))


def test_where_empty_cases_decide_who_is_first_it_is_said(tmp_path):
    comparison = made(tmp_path, 0.0, 0.02)
    for run, marked in zip(comparison.runs, (0, 100), strict=True):
        cases = run.cases()
        first = cases["case_id"].isin([f"ETIS-{i:02d}" for i in range(6)])
        cases.loc[first, ["tp", "fn", "fp", "tn"]] = [0, 0, marked, 1_000_000 - marked]
        run.write_table("cases.csv", with_overlap(cases))
    comparison = compare(comparison.runs)
    assert statistics.best(comparison, "ETIS").label == "b0"
    present = {c.label: c.cases[0].query("tp + fn > 0")["dice"].mean() for c in comparison.configurations}
    assert present["b1"] > present["b0"]
    assert (
        "On ETIS the cases with nothing to find decide who is first: over the others b1 has the highest mean Dice, "
        f"{present['b1']:.3f}, and b0 {present['b0']:.3f}." in words(comparison)
    )


def test_what_can_be_detected_is_by_the_rule_that_decides(tmp_path):
    few = statistics.differences(made(tmp_path / "two", 0.1, 0.0, spread=0.05)).iloc[0]
    many = statistics.differences(made(tmp_path / "six", 0.1, *[0.0] * 5, spread=0.05)).iloc[0]
    assert many["detectable"] > 1.2 * few["detectable"]  # 15 pairs to be corrected for instead of one
