"""Reports over several classes: outlines, classes, patients."""

import pytest
from class_runs import CLASSES, class_run

from medseg.reporting import boundaries, statistics
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
    assert f"{cases['hd95'].mean():.2f}*" in row
    assert cases["hd95"].mean() > 5  # 2 of 48 structures missed, at 141 px each
    assert row[-1] == "2"
    assert "within 2 px" in text


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
    assert f"(16 cases with {len(CLASSES)} classes each from 8 patients" in repr(statistics.claim(compared))
