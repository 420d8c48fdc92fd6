"""The scores in ``docs/results``: what the documents say is computed from them, and their report needs nothing else."""

import re

import pytest

from medseg import project
from medseg.commands import results
from medseg.experiments import runs
from medseg.reporting import documents
from medseg.reporting.comparison import compare

KEPT = project.root() / "docs" / "results"


@pytest.fixture(scope="module")
def comparison():
    return compare([runs.Run(path.parent) for path in sorted(KEPT.glob("polyp/*/run.json"))])


@pytest.mark.parametrize("name", ["docs/results.md", "README.md"])
def test_the_tables_of_a_document_are_those_of_the_scores(comparison, name):
    text = (project.root() / name).read_text("utf-8")
    renew = f"renew it: medseg report polyp --runs docs/results --fill {name}"
    assert documents.filled(text, comparison, name) == text, renew


def test_nothing_but_scores_is_kept():
    files = [path for path in KEPT.rglob("*") if path.is_file()]
    assert {path.name for path in files} <= {"cases.csv", "history.csv", "objects.csv", "calibration.csv", "run.json"}
    for run in KEPT.glob("*/*"):
        assert sum(path.stat().st_size for path in run.iterdir()) < 5e5, run
    for path in files:
        assert not re.search(r"(?<![\w.])(/[a-z]|[A-Z]:\\|~/)", path.read_text("utf-8")), path


def test_every_run_is_compared_and_scored_on_every_case(comparison):
    assert not comparison.left_out
    counts = comparison.dataset["counts"]["test_sets"]
    for c in comparison.configurations:
        for cases in c.cases:
            assert cases.groupby("test_set")["case_id"].nunique().to_dict() == counts


def test_the_report_is_built_without_the_data(tmp_path, monkeypatch, comparison):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    before = sorted(KEPT.rglob("*"))
    results.report("polyp", folder=KEPT)
    page = (tmp_path / "kept" / "results" / "polyp.html").read_text("utf-8")
    for said in repr(documents.answer.claim(comparison)).splitlines():
        assert said.split(" (")[0] in page
    assert "without pictures, predictions and weights" in page
    assert (tmp_path / "kept" / "results" / "index.html").is_file()
    assert sorted(KEPT.rglob("*")) == before
