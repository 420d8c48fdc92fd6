"""Runs kept as tables: the same figures, no path of the machine, and a reason where pictures are wanted."""

import json
import shutil

import pandas as pd
import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import keeping, runs
from medseg.metrics.overlap import COUNTS, summarise
from medseg.reporting import gallery
from medseg.reporting.comparison import compare

EXAMPLES = project.root() / "tests/fixtures/runs/polyp"


@pytest.fixture
def run(tmp_path):
    """A copy of an example run that was trained on a machine's own paths."""
    copy = runs.Run(tmp_path / "runs" / "polyp" / "unet-64-s1-ea81c013")
    shutil.copytree(EXAMPLES / copy.id, copy.folder)
    record = copy.record
    record["parameters"] |= {"data": "/home/someone/data/polyps", "weights": "C:\\nets\\start.pth"}
    record["dataset"] |= {"path": "/home/someone/data/polyps/"}
    copy.update(**record)
    return copy


def test_kept_tables_give_the_same_figures_and_no_path(run, tmp_path):
    copy = keeping.keep(run, tmp_path / "kept")
    assert copy.folder == tmp_path / "kept" / "polyp" / run.id
    tables = ["calibration.csv", "cases.csv", "history.csv", "objects.csv"]
    assert sorted(path.name for path in copy.folder.iterdir()) == [*tables, "run.json"]
    pd.testing.assert_frame_equal(copy.cases()[list(COUNTS)], run.cases()[list(COUNTS)])
    pd.testing.assert_frame_equal(copy.cases(), run.cases(), rtol=1e-5, check_exact=False)
    pd.testing.assert_frame_equal(copy.history(), run.history(), rtol=1e-5, check_exact=False)
    pd.testing.assert_frame_equal(summarise(copy.cases()), summarise(run.cases()))
    text = (copy.folder / "run.json").read_text("utf-8")
    assert "someone" not in text
    assert "nets" not in text
    record = json.loads(text)
    assert record["parameters"]["data"] == record["dataset"]["path"] == "polyps"
    assert record["parameters"]["weights"] == "start.pth"
    assert (copy.folder / "cases.csv").stat().st_size < 0.6 * (run.folder / "cases.csv").stat().st_size


def test_a_kept_table_that_lost_a_row_is_noticed(run, tmp_path):
    copy = keeping.keep(run, tmp_path / "kept")
    table = copy.folder / "cases.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(MedsegError, match="expected 48 rows"):
        copy.cases()


def test_what_needs_pictures_says_that_there_are_none(run, tmp_path):
    copy = keeping.keep(run, tmp_path / "kept")
    shown = repr(gallery.extremes(compare([copy])))
    assert shown.count("without pictures, predictions and weights") == 1  # of all test sets the same


def test_a_run_that_was_not_scored_is_not_kept(run, tmp_path):
    run.forget_evaluation()
    with pytest.raises(MedsegError, match=r"unet-64-s1-ea81c013 is not kept: finished, not scored yet"):
        keeping.keep(run, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
