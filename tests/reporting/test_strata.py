"""Means by kind of case, worked out by hand on ten cases."""

import pandas as pd
import pytest
from synthetic_runs import bare_run
from ten_cases import masks

from medseg.experiments.runs import Run
from medseg.metrics.overlap import confusion_counts, with_overlap
from medseg.reporting import strata
from medseg.reporting.comparison import compare


@pytest.fixture
def ten(tmp_path):
    """Two runs on the ten cases: as they are, and one that finds nothing."""
    found = []
    for number, name in enumerate(("some", "none")):
        run, rows = Run(tmp_path / "handbone" / name), []
        for row, truth, predicted in masks():
            counts = confusion_counts(predicted * (1 - number), truth)
            sex = row["sex"] or float("nan")
            rows.append({**row, "class": "bone", **counts._asdict(), "sex": sex})
        run.write_table("cases.csv", with_overlap(pd.DataFrame(rows)))
        run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
        dataset = {"path": "data/hand", "name": "hand", "fingerprint": "ab" * 32}
        parameters = {"architecture": name, "seed": 1}
        run.update(
            run_id=run.id, study="handbone", stage="2_train", status="finished", dataset=dataset,
            parameters=parameters, seed=1, evaluation={"threshold": 0.5, "rule": "fixed at 0.5"},
        )  # fmt: skip
        found.append(run)
    return compare(found)


def line(text, start):
    """The words of the one line that starts so."""
    (found,) = [one for one in text.splitlines() if one.startswith(start)]
    return found.removeprefix(start).replace(",", " ").split()


def test_ten_cases_by_hand(ten, monkeypatch):
    monkeypatch.setattr(strata, "_FEW", 1)
    text = repr(strata.table(ten))
    # Dice of the ten: 1, 2/3, 8/9, 0, nothing, 0, 10/11, 1/13, 8/11, 2/3.
    assert line(text, "Sex: F")[:1] == ["4"]
    assert line(text, "Sex: F")[3] == f"{(1 + 2 / 3 + 10 / 11 + 1 / 13) / 4:.3f}"
    # Case 5 has no Dice in either run, case 6 only in one: the other rightly found nothing, which counts as 1.
    assert line(text, "Sex: M")[:1] == ["4"]
    assert line(text, "Sex: M")[3] == f"{(8 / 9 + 0 + 0 + 8 / 11) / 4:.3f}"
    assert line(text, "Sex: M")[-1] == f"{1 / 4:.3f}"
    assert line(text, "Sex: not known")[3] == f"{2 / 3:.3f}"
    assert line(text, "Test set: A")[3] == f"{(1 + 2 / 3 + 8 / 9 + 0 + 0) / 5:.3f}"
    assert line(text, "Test set: B")[3] == f"{(10 / 11 + 1 / 13 + 8 / 11 + 2 / 3) / 4:.3f}"


def test_sizes_are_thirds_of_the_cases_that_show_something(ten, monkeypatch):
    monkeypatch.setattr(strata, "_FEW", 1)
    text = repr(strata.table(ten))
    # True pixels of 100: 16, 16, 20, 16, 0, 0, 36, 4, 8, 8.
    assert line(text, "Size: 4\u20138 % of the picture")[3] == f"{(1 / 13 + 8 / 11 + 2 / 3) / 3:.3f}"
    assert line(text, "Size: 16 % of the picture")[3] == f"{(1 + 2 / 3 + 0) / 3:.3f}"
    assert line(text, "Size: 20\u201336 % of the picture")[3] == f"{(8 / 9 + 10 / 11) / 2:.3f}"
    assert line(text, "Size: nothing")[3] == "0.000"


def test_few_cases_have_no_mean(ten):
    assert "too few" in repr(strata.table(ten))


def test_where_nothing_is_known_a_sentence_says_so(ten):
    one = next(c for c in ten.configurations if c.name == "some")
    cases = one.cases[0].query("case_id == '1'")
    (one.runs[0].folder / "cases.csv").write_text(cases.drop(columns="sex").to_csv(index=False))
    assert repr(strata.table(compare([one.runs[0]]))).startswith("Nothing is known")


def test_long_names_stand_below_the_table(tmp_path):
    rows = {
        "short": {"schedule": "step", "learning_rate": 0.1, "max_epochs": 9},
        "long": {"schedule": "cosine", "learning_rate": 0.001, "max_epochs": 7},
    }
    scores = {"A": [0.5, 0.6], "B": [0.4, 0.5]}
    comparison = compare(
        [bare_run(tmp_path / name, scores, backbone=name, **further) for name, further in rows.items()]
    )
    short, long = (c.label for c in comparison.configurations)
    text = repr(strata.table(comparison))
    head = text.splitlines()[1]
    assert head.split() == ["Stratum", "Cases", "1.", "short", "2.", "long"]
    assert f"Columns: 1. {short}; 2. {long}." in text
    assert "schedule cosine" in long
