"""Means over the same cases: a case with nothing to find counts for all networks of a comparison, or for none."""

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import bare_run

from medseg.metrics.overlap import with_overlap
from medseg.reporting import boundaries, results, statistics
from medseg.reporting.comparison import compare

SCORES = {"careful": [0.6, 0.6, 0.6], "bold": [0.72, 0.72, 0.72], "lucky": [0.5, 0.5, 0.5]}
#: Pixels marked in the two cases in which there is nothing to find.
MARKED = {"careful": (0, 0), "bold": (100, 0), "lucky": (0, 0)}
HIGHEST = {"dice": 1.0, "iou": 1.0, "precision": 1.0, "recall": 1.0, "surface_dice": 1.0, "hd95": 0.0}


def with_empty_cases(run, marked):
    """The run with two cases more in which there is nothing to find, and its distances."""
    cases = run.cases()
    empty = pd.DataFrame(
        [
            {
                **cases.iloc[0],
                "case_id": f"empty-{i}",
                "group": f"e{i}",
                "tp": 0,
                "fp": fp,
                "fn": 0,
                "tn": 1_000_000 - fp,
            }
            for i, fp in enumerate(marked)
        ]
    )
    table = with_overlap(pd.concat([cases, empty], ignore_index=True)[["test_set", "case_id", "group", "class",
                                                                      "tp", "fp", "fn", "tn"]])  # fmt: skip
    right = (table[["tp", "fp", "fn"]].sum(axis=1) == 0).to_numpy()
    table["hd95"] = np.where(right, np.nan, 40.0)
    table["surface_dice"] = np.where(right, np.nan, 0.5)
    run.write_table("cases.csv", table)
    return run


@pytest.fixture
def made(tmp_path):
    runs = [
        with_empty_cases(bare_run(tmp_path / name, {"ETIS": scores}, backbone=name, seed=1), MARKED[name])
        for name, scores in SCORES.items()
    ]
    return compare(runs)


def test_every_measure_of_a_case_is_there_for_all_or_for_none(made):
    tables = {c.name: c.cases[0].set_index("case_id") for c in made.configurations}
    for name, best in HIGHEST.items():
        assert tables["careful"].at["empty-0", name] == best
        assert tables["lucky"].at["empty-0", name] == best
        assert all(np.isnan(table.at["empty-1", name]) for table in tables.values())
    assert tables["bold"].at["empty-0", "dice"] == 0
    assert tables["bold"].at["empty-0", "hd95"] == 40


def test_the_means_shown_are_those_that_are_compared(made):
    # careful: (3 * .6 + 1) / 4; bold: (3 * .72 + 0) / 4, which was first while its own cases made its mean (.54 and .6)
    expected = {"careful": 0.7, "bold": 0.54, "lucky": 0.625}
    text = repr(results.table(made))
    for name, mean in expected.items():
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert line.split()[1].rstrip("*?≈") == f"{mean:.3f}"
    assert statistics.best(made, "ETIS").name == "careful"
    found = statistics.differences(made).set_index("run")["difference"]
    assert found["bold"] == pytest.approx(expected["bold"] - expected["careful"], abs=1e-4)
    assert found["lucky"] == pytest.approx(expected["lucky"] - expected["careful"], abs=1e-4)
    assert results.means(made).set_index("configuration")["mean_dice"].to_dict() == pytest.approx(expected, abs=1e-4)
    assert "ETIS n = 5, 4 scored" in text


def test_outlines_are_over_the_same_cases(made):
    lines = repr(boundaries.measures(made)).splitlines()
    shown = {line.split()[0]: line.split() for line in lines if line.split() and line.split()[0] in SCORES}
    assert shown["careful"][2].startswith("0.7000")
    assert shown["careful"][3].rstrip("*?≈") == "30.00"  # mean of 40, 40, 40 and 0
    assert shown["bold"][3].rstrip("*?≈") == "40.00"


def test_a_measure_that_was_not_taken_does_not_seem_perfect(tmp_path):
    runs = [
        with_empty_cases(bare_run(tmp_path / name, {"ETIS": SCORES[name]}, backbone=name, seed=1), MARKED[name])
        for name in ("careful", "bold")
    ]
    runs[0].write_table("cases.csv", runs[0].cases().assign(hd95=np.nan))
    careful = compare(runs).configurations[0].cases[0]
    assert careful["hd95"].isna().all()
    assert careful["dice"].notna().sum() == 4


def test_seeds_of_one_configuration_are_over_the_same_cases(tmp_path):
    runs = [
        with_empty_cases(bare_run(tmp_path / f"s{seed}", {"ETIS": [0.5, 0.5]}, backbone="a", seed=seed), marked)
        for seed, marked in ((1, (0, 0)), (2, (10, 0)))
    ]
    (configuration,) = compare(runs).configurations
    assert [cases["dice"].mean() for cases in configuration.cases] == pytest.approx([2 / 3, 1 / 3])
    assert [summary.loc["ETIS", "n_scored"] for summary in configuration.summaries] == [3, 3]
    assert "n = 4, 3 scored" in repr(results.table(compare(runs)))
