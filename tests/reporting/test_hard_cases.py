"""Cases that every configuration fails at."""

import pandas as pd
import pytest
from synthetic_runs import bare_run

from medseg.reporting import hard_cases
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure


@pytest.fixture
def compared(tmp_path):
    one = bare_run(tmp_path / "one", {"A": [0.9, 0.4, 0.1, 0.0]}, architecture="one", seed=1)
    other = bare_run(tmp_path / "other", {"A": [0.2, 0.3, 0.45, 0.7]}, architecture="other", seed=1)
    return compare([one, other])


def test_those_below_a_half_with_all_are_found_the_worst_first(compared):
    found, count = hard_cases.failures(compared)
    assert count == 4
    assert found[["case_id", "label"]].to_numpy().tolist() == [["A-01", "one"], ["A-02", "other"]]
    assert found["highest"].tolist() == pytest.approx([0.4, 0.45])
    table, pictures = hard_cases.page(compared).parts
    assert "2 of 4 frames are failed by both configurations" in repr(table)
    assert repr(pictures).startswith("No pictures: ")


def test_an_empty_label_counts_where_everybody_found_something(compared):
    for c, found in zip(compared.configurations, ([50, 60], [0, 70]), strict=True):
        path = c.runs[0].folder / "cases.csv"
        cases = pd.read_csv(path)
        cases.loc[[2, 3], ["tp", "fn", "fp", "tn"]] = [[0, 0, n, 1_010_000 - n] for n in found]
        cases.loc[[2, 3], "dice"] = [float("nan") if n == 0 else 0.0 for n in found]
        cases.to_csv(path, index=False)
    found, _ = hard_cases.failures(compare([c.runs[0] for c in compared.configurations]))
    assert found["case_id"].tolist() == ["A-03", "A-01"]
    assert found["remark"].tolist() == ["empty label", ""]


def test_pictures_are_shown_where_there_are_any(runs, monkeypatch):
    monkeypatch.setattr(hard_cases, "FAILED", 0.97)
    parts = hard_cases.page(compare(runs), most=2).parts
    assert sum(isinstance(part, Figure) for part in parts) == 2


def test_one_configuration_is_a_sentence(runs):
    assert repr(hard_cases.page(compare(runs[:1])).parts[0]).startswith("To say which cases")
