"""In what two runs differ, in words and for a program."""

import json

import pytest
from synthetic_runs import bare_run

from medseg.errors import MedsegError
from medseg.metrics import compare
from medseg.reporting import diff


@pytest.fixture
def pair(tmp_path):
    scores = [0.5 + 0.01 * i for i in range(30)]
    first = bare_run(tmp_path / "polyp" / "first", {"A": scores}, backbone="resnet18", resolution=96)
    second = bare_run(
        tmp_path / "polyp" / "second",
        {"A": [s + 0.1 + 0.02 * (-1) ** i for i, s in enumerate(scores)]},
        backbone="resnet34",
        fold=-1,
    )
    second.update(git={"commit": "b" * 40, "dirty": True}, versions={"torch": "2.9"})
    first.update(git={"commit": "a" * 40, "dirty": True}, versions={"torch": "2.8"})
    return first, second


def test_what_differs_is_told_with_both_values(pair):
    found = diff.of_runs(*pair)
    assert found.changed["parameters"] == {"backbone": ("resnet18", "resnet34"), "resolution": (96, "-")}
    assert found.changed["data"] == {}
    assert found.changed["packages"] == {"torch": ("2.8", "2.9")}
    assert found.changed["code"] == {"commit": ("a" * 40, "b" * 40)}
    text = found.as_text()
    assert "backbone    resnet18  ->  resnet34" in text
    assert "data: the same" in text
    assert "A  0.645  ->  0.745" in text
    assert "A: B - A +0.100 (" in text
    assert "30 cases of 30 groups: B is better" in text


def test_a_program_reads_the_paired_difference_of_the_second_to_the_first(pair):
    (row,) = json.loads(json.dumps(diff.of_runs(*pair).as_json()))["paired"]
    assert row["difference"] == pytest.approx(0.1)
    assert row["verdict"] == compare.BETTER
    (row,) = diff.of_runs(*reversed(pair)).as_json()["paired"]
    assert row["difference"] == pytest.approx(-0.1)
    assert row["verdict"] == compare.WORSE


def test_other_cases_are_not_paired_and_the_reason_is_given(pair, tmp_path):
    other = bare_run(tmp_path / "polyp" / "other", {"A": [0.5, 0.6]}, backbone="resnet18")
    found = diff.of_runs(pair[0], other)
    assert found.paired.empty
    assert "scored on different cases" in found.as_text()
    assert found.means[1] == {"A": 0.55}


def test_a_run_is_not_compared_with_itself(pair):
    with pytest.raises(MedsegError, match="Both are the run first"):
        diff.of_runs(pair[0], pair[0])
