"""Reports that are made while the queue goes on: each once, as soon as all that it is about has ended."""

from types import SimpleNamespace

import pytest

from medseg.commands.demo import Reports
from medseg.errors import MedsegError
from medseg.experiments.job import Job, Outcome
from medseg.reporting import build


def _sweep(folder, study, name, count):
    runs = [SimpleNamespace(folder=folder / name / str(number)) for number in range(count)]
    return SimpleNamespace(name=name, study=study, planned=[SimpleNamespace(run=run) for run in runs])


@pytest.fixture
def made(monkeypatch, tmp_path):
    """What was built, in order."""
    made = []

    def study_report(study, only_if_new):
        if study == "bad":
            raise MedsegError("no report of bad")
        made.append((study, only_if_new))

    monkeypatch.setenv("MEDSEG_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(build, "study_report", study_report)
    return made


def _ended(sweep, number, outcome="done"):
    return Outcome(Job(sweep.planned[number].run.folder, sweep.study, "2_train", {}), outcome)


def test_a_report_follows_the_last_run_of_all_sweeps_of_its_study(made, tmp_path):
    first, second, other = (
        _sweep(tmp_path, study, name, 2) for study, name in (("a", "first"), ("a", "second"), ("b", "other"))
    )
    with Reports([first, second, other]) as reports:
        for sweep, number in ((first, 0), (other, 0), (other, 1), (second, 1), (first, 1)):
            reports.on_end(_ended(sweep, number))
        reports._pool.submit(lambda: None).result()
        assert made == [("b", False)]
        reports.on_end(_ended(second, 0, "failed"))
    assert made == [("b", False), ("a", False)]


def test_what_was_done_before_is_reported_where_its_page_is_of_other_runs(made, tmp_path):
    done, again = _sweep(tmp_path, "a", "done", 1), _sweep(tmp_path, "b", "again", 2)
    with Reports([done, again]) as reports:
        for sweep, number, outcome in ((done, 0, "skipped"), (again, 0, "done"), (again, 1, "skipped")):
            reports.on_end(_ended(sweep, number, outcome))
    assert made == [("a", True), ("b", False)]


def test_one_report_that_fails_stops_no_other_and_is_said_at_the_end(made, tmp_path):
    bad, good = _sweep(tmp_path, "bad", "one", 1), _sweep(tmp_path, "good", "one", 1)
    with pytest.raises(MedsegError, match="^no report of bad$"), Reports([bad, good]) as reports:
        for sweep in (bad, good):
            reports.on_end(_ended(sweep, 0))
    assert made == [("good", False)]


def test_a_study_of_which_nothing_was_scored_has_no_report(made, tmp_path):
    sweep = _sweep(tmp_path, "a", "none", 1)
    with Reports([sweep]) as reports:
        reports.on_end(_ended(sweep, 0, "failed"))
    assert made == []
