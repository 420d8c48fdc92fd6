"""The page to look through all test cases of a run."""

import json
import re

import pytest
import synthetic_runs

from medseg.errors import MedsegError
from medseg.experiments.runs import all_runs
from medseg.masks import rle
from medseg.metrics.overlap import dice
from medseg.reporting import view


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path / "reports" / "runs"))
    synthetic_runs.make_runs(synthetic_runs.make_dataset(tmp_path / "ellipses"))
    return next(run for run in all_runs("polyp") if run.evaluated)


def content(page):
    return json.loads(re.search(r'id="content">(.*?)</script>', page.read_text("utf-8"), re.S)[1])


def test_masks_and_scores_are_those_of_the_run(run):
    page = view.write(run)
    cases, scored = content(page)["cases"], run.cases()
    assert [case["id"] for case in cases] == scored["case_id"].tolist()
    for case, (_, row) in zip(cases, scored.iterrows(), strict=True):
        truth, found = (rle.decode(case[kind]["polyp"], (case["height"], case["width"])).astype(bool)
                        for kind in ("truth", "predicted"))  # fmt: skip
        tp, fp, fn = int((truth & found).sum()), int((found & ~truth).sum()), int((truth & ~found).sum())
        assert (tp, fp, fn) == tuple(row[["tp", "fp", "fn"]])
        if case["dice"] is not None:
            assert case["dice"] == pytest.approx(dice(tp, fp, fn), abs=1e-4)
        assert case["picture"].startswith("data:image/jpeg;base64,")
    assert "http" not in re.sub(r'id="content">.*?</script>', "", page.read_text("utf-8"), flags=re.S)


def test_large_pictures_lie_beside_the_page_and_reports_lead_to_it(run):
    assert view.link(run) == ""
    page = view.write(run, most_embedded=10)
    files = [run.folder / case["picture"] for case in content(page)["cases"]]
    assert all(file.read_bytes().startswith(b"\xff\xd8") for file in files)
    assert view.link(run) == f"runs/polyp/{run.id}/view.html"


def test_a_run_that_is_not_scored_is_refused(run):
    (run.folder / "cases.csv").unlink()
    with pytest.raises(MedsegError, match="has no scored cases: run 3_evaluate"):
        view.write(run)
