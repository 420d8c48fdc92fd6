"""Reports over several classes: outlines, classes, patients."""

import math

import pytest
from class_runs import CLASSES, class_run
from synthetic_runs import bare_run

from medseg.evaluation import measures
from medseg.reporting import answer, boundaries, distributions, paired_tables
from medseg.reporting import overlapping_scores as classes
from medseg.reporting.comparison import compare
from medseg.studies.handbone import patients


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    better = class_run(folder / "a", 0.95, architecture="smp-unet", resolution=512)
    return compare([better, class_run(folder / "b", 0.8, architecture="smp-unet", resolution=256)])


def test_a_miss_counts_in_the_mean_distance_and_is_counted(compared):
    text = repr(boundaries.measures(compared))
    row = next(line for line in text.splitlines() if line.startswith("512 px") or " 512 px" in line).split()
    cases = compared.configurations[0].cases[0]
    assert f"{cases['hd95'].mean():.2f}" in row
    assert cases["hd95"].mean() > 5  # 2 of 48 structures missed, at 141 px each
    assert row[-1] == "2"
    assert "within 2 px" in text


def test_runs_without_distances_say_so(tmp_path):
    compared = compare([bare_run(tmp_path / "a", {"ETIS": [0.5, 0.6]})])
    assert "score them again with 3_evaluate" in repr(boundaries.measures(compared))


def test_a_measure_appears_by_itself_in_tables_figures_and_statistics(tmp_path, monkeypatch):
    added = measures.Measure("wander", "wander", lambda scored: 0.0, lower_is_better=True, high=math.inf, unit="px")
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, added))
    runs = [class_run(tmp_path / name, quality, architecture=name) for name, quality in (("one", 0.95), ("two", 0.8))]
    for run, wander in zip(runs, (1.5, 2.5), strict=True):
        run.write_table("cases.csv", run.cases().assign(wander=wander))
    compared = compare(runs)
    assert "Wander, mean px" in repr(boundaries.measures(compared))
    assert "Wander, px" in repr(classes.worst(compared))
    row = next(line for line in repr(paired_tables.by_measure(compared)).splitlines() if line.startswith("Wander, px"))
    assert [word for word in row.replace(",", "").split() if word in ("one", "two", "1.5")] == ["one", "1.5", "two"]
    assert "+1.0 to +1.0" in row
    assert "right of the line the best one does better" in distributions.paired(compared, "wander").caption
    assert "one on fold-0 median 1.50" in distributions.scores(compared, "wander").alt


def test_the_best_by_each_measure_is_told_with_the_one_next_to_it(compared):
    lines = repr(paired_tables.by_measure(compared)).splitlines()
    names = ("IoU", "Precision", "Recall", "HD95, px", "Surface Dice")
    assert all(any(line.startswith(name) for line in lines) for name in names)
    assert all("512 px" in line and "256 px" in line for line in lines if line.startswith(names))


def test_the_worst_class_comes_first_with_its_missed_area(compared):
    text = repr(classes.worst(compared))
    first = text.splitlines()[2].split()
    assert first[0] == "Pisiform"
    pisiform = compared.configurations[0].cases[0].query("`class` == 'Pisiform'")
    assert f"{100 * pisiform['fn'].sum() / (pisiform['tp'] + pisiform['fn']).sum():.1f}" in first


def test_figures_name_the_extremes(compared):
    assert "lowest Pisiform" in classes.scores(compared).alt
    assert "the largest is that of Pisiform" in classes.area_errors(compared).alt


def test_error_against_patients_takes_both_hands_together(compared):
    figure = patients.errors(compared)
    assert figure.alt.startswith("Error of 8 patients.")
    assert "age: Spearman" in figure.alt
    assert "n = 8" in figure.alt
    assert "weight: 8 patients: too few" in figure.alt
    assert "height" not in figure.alt


def test_unknown_patients_are_said_to_be_unknown(tmp_path):
    compared = compare([class_run(tmp_path / "a", 0.9, known=False)])
    assert "Nothing is known of the patients" in repr(patients.errors(compared))


def test_the_claim_counts_cases_and_classes(compared):
    assert f"16 cases with {len(CLASSES)} classes each from 8 patients" in repr(answer.claim(compared))
