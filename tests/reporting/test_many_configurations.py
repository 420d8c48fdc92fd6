"""A report of very many configurations: the best first, the others folded, pictures of the best alone."""

import numpy as np
import pytest
from bs4 import BeautifulSoup
from synthetic_runs import bare_run

from medseg.metrics import compare as paired_tests
from medseg.reporting import answer, curves, distributions, paired_tables, results
from medseg.reporting.comparison import MOST, compare

BASE = np.random.default_rng(5).uniform(0.3, 0.6, 24)
SHIFTS = np.random.default_rng(6).permutation(MOST + 5) / 100


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Configurations b0, b1 and so on whose mean Dice rises with their shift."""
    folder = tmp_path_factory.mktemp("many")
    scores = [{name: (BASE + shift).round(3).tolist() for name in ("ClinicDB", "ETIS")} for shift in SHIFTS]
    return compare([bare_run(folder / f"r{i}", own, groups=24, backbone=f"b{i}") for i, own in enumerate(scores)])


def test_the_best_come_first_and_are_numbered_anew(many):
    expected = [f"b{i}" for i in np.argsort(-SHIFTS)]
    assert [c.label for c in many.configurations] == expected
    assert [c.number for c in many.configurations] == list(range(MOST + 5))
    assert [c.label for c in many.best.configurations] == expected[:MOST]


def test_few_configurations_keep_the_order_in_which_they_were_given(many):
    few = compare([run for c in many.configurations[::-1][:4] for run in c.runs])
    assert few.best is few
    assert few.cut == ""
    assert [c.label for c in few.configurations] == [c.label for c in many.configurations[::-1][:4]]


def test_rows_below_the_best_are_folded_and_none_is_lost(many):
    page = BeautifulSoup(results.table(many).html, "html.parser")
    first, folded = page.find_all("tbody")
    assert len(first.find_all("tr")) == MOST
    assert [row.th.get_text() for row in folded.find_all("tr")] == [c.label for c in many.configurations[MOST:]]
    assert page.details.get_text() == "5 more rows"
    assert page.find(class_="scroll").find_next_sibling() is page.details  # the style sheet relies on it
    tests = BeautifulSoup(paired_tables.table(many).html, "html.parser").find_all("tbody")
    assert [len(body.find_all("tr")) for body in tests] == [2 * MOST, 2 * 4]


def test_pictures_show_the_best_and_say_so(many):
    for picture in (distributions.scores(many), distributions.paired(many), curves.learning(many)):
        assert picture.caption.endswith(f" The best {MOST} of {MOST + 5} configurations."), picture.caption
        assert f"{many.configurations[MOST].label} " not in picture.alt


def test_a_family_in_which_nothing_can_be_told_is_named(many, monkeypatch):
    assert "no p can be below" not in answer.claim(many).text
    monkeypatch.setattr(paired_tests, "_MOST_DRAWS", 9_999)
    assert "25 configurations make 300 pairs" in answer.claim(many).text
    assert paired_tests.draws_for(300) == 9_999
