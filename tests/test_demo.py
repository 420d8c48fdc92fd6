"""Reports that are made while the queue goes on: each once, as soon as all that it is about has ended."""

from types import SimpleNamespace

import pytest

from medseg.commands.demo import Reports
from medseg.errors import MedsegError
from medseg.experiments.job import Job, Outcome
from medseg.reporting import build


def _sweep(folder, study, name, count):
    runs = [SimpleNamespace(folder=folder / name / str(number), evaluated=True) for number in range(count)]
    return SimpleNamespace(name=name, study=study, planned=[SimpleNamespace(run=run) for run in runs])


@pytest.fixture
def made(monkeypatch, tmp_path):
    """What was built, in order."""
    made = []

    def sweep_report(sweep, only_if_new):
        if sweep.name == "bad":
            raise MedsegError("no report of bad")
        made.append((sweep.name, only_if_new))

    monkeypatch.setenv("MEDSEG_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(build, "sweep_report", sweep_report)
    monkeypatch.setattr(build, "study_report", made.append)
    return made


def _ended(sweep, number, outcome="done"):
    return Outcome(Job(sweep.planned[number].run.folder, sweep.study, "2_train", {}), outcome)


def test_a_report_follows_its_last_run_and_that_of_a_study_its_last_sweep(made, tmp_path):
    first, second, other = (
        _sweep(tmp_path, study, name, 2) for study, name in (("a", "first"), ("a", "second"), ("b", "other"))
    )
    with Reports([first, second, other]) as reports:
        for sweep, number in ((first, 0), (other, 0), (other, 1), (second, 1), (first, 1)):
            reports.on_end(_ended(sweep, number))
        reports._pool.submit(lambda: None).result()
        assert made == [("other", False), "b", ("first", False)]
        reports.on_end(_ended(second, 0, "failed"))
    assert made[3:] == [("second", False), "a"]


def test_what_was_done_before_is_not_reported_again_unless_its_page_is_gone(made, tmp_path):
    done, gone = _sweep(tmp_path, "a", "done", 1), _sweep(tmp_path, "b", "gone", 1)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "a.html").touch()
    with Reports([done, gone]) as reports:
        for sweep in (done, gone):
            reports.on_end(_ended(sweep, 0, "skipped"))
    assert made == [("done", True), ("gone", True), "b"]


def test_one_report_that_fails_stops_no_other_and_is_said_at_the_end(made, tmp_path):
    bad, good = _sweep(tmp_path, "a", "bad", 1), _sweep(tmp_path, "b", "good", 1)
    with pytest.raises(MedsegError, match="^no report of bad$"), Reports([bad, good]) as reports:
        for sweep in (bad, good):
            reports.on_end(_ended(sweep, 0))
    assert made == ["a", ("good", False), "b"]


def test_a_sweep_of_which_nothing_was_scored_has_no_report(made, tmp_path):
    sweep = _sweep(tmp_path, "a", "none", 1)
    sweep.planned[0].run.evaluated = False
    with Reports([sweep]) as reports:
        reports.on_end(_ended(sweep, 0, "failed"))
    assert made == []
