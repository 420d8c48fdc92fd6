"""Tables that lost rows or were changed are refused by name; records of before there were checksums are accepted."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.evaluation.common import write
from medseg.experiments import job, tables
from medseg.experiments.notebooks import Execution
from medseg.experiments.runs import Run, predictions_of, prepare_run, training
from medseg.metrics.overlap import with_overlap

SETS = {"ClinicDB": 20, "ETIS": 16}


def _cases(seed=0):
    rng, rows = np.random.default_rng(seed), []
    for test_set, number in SETS.items():
        for case in range(number):
            tp = int(rng.integers(1, 100))
            counts = {"tp": tp, "fp": 100 - tp, "fn": 100 - tp, "tn": 9800 + tp}
            names = {"test_set": test_set, "case_id": f"{test_set}-{case}", "group": f"g{case // 2}", "class": "polyp"}
            rows.append({**names, **counts})
    return with_overlap(pd.DataFrame(rows))


def _score(run, cases):
    encoded = [
        {"test_set": row.test_set, "image_name": row.case_id, "class": "polyp", "rle": "1 2"}
        for row in cases.itertuples()
    ]
    write(run, cases, encoded, cases["case_id"], 0.0)


@pytest.fixture
def run(dataset, tmp_path, monkeypatch):
    """Trained for two epochs and scored."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    run = prepare_run("polyp", "2_train_torch", {"seed": 1}, dataset)
    with training(run, "polyp", "2_train_torch", {"seed": 1}, dataset):
        run.write_table("history.csv", pd.DataFrame({"epoch": [1, 2], "split": "train", "loss": [0.5, 0.25]}))
        run.finish()
    _score(run, _cases())
    return run


def _old(run):
    """The same run from before there were checksums."""
    record = {key: value for key, value in run.record.items() if key != "tables"}
    (run.folder / "run.json").write_text(json.dumps(record))
    return run


def _refusal(read):
    with pytest.raises(MedsegError) as refusal:
        read()
    return str(refusal.value)


def test_the_record_has_the_checksums_of_what_was_written(run):
    sums = run.record["tables"]
    assert set(sums) == {"history.csv", "cases.csv", "predictions"}
    for name, rows in (("history.csv", 2), ("cases.csv", 36)):
        content = (run.folder / name).read_bytes()
        assert sums[name] == {"rows": rows, "sha256": hashlib.sha256(content).hexdigest()}
    lines = [
        f"{hashlib.sha256((run.folder / 'predictions' / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("ClinicDB.csv", "ETIS.csv")
    ]
    assert sums["predictions"] == {"files": 2, "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}
    assert not run.damaged
    assert len(run.cases()) == 36
    assert len(run.history()) == 2
    assert len(predictions_of(run, "ETIS")) == 16


@pytest.mark.parametrize("old", [False, True])
def test_the_twelve_worst_rows_deleted_are_not_another_mean(run, old):
    cases = run.cases()
    kept = cases.sort_values("dice").iloc[12:].sort_index()
    assert kept["dice"].mean() > cases["dice"].mean() + 0.1
    run.write_table("cases.csv", kept)
    words = _refusal((_old(run) if old else run).cases)
    assert f"The run {run.id} is not used: cases.csv has 24 rows" in words
    assert ("cases of ETIS, expected 16" if old else "expected 36 rows") in words
    assert "papermill notebooks/polyp/3_evaluate.ipynb out.ipynb -p run_id " in words
    assert "Score it again: repeat its sweep, or papermill " in words
    assert words.endswith(f"-p run_id {project.display(run.folder)}.")
    assert run.damaged


def test_a_sweep_scores_a_run_again_whose_tables_were_changed(run, monkeypatch):
    stages = []
    monkeypatch.setattr(
        job,
        "_stage",
        lambda job, stage, *rest, **limits: stages.append(stage) or Execution("done", "", 1, 0.0, run.folder),
    )
    planned = job.Job(run.folder, "polyp", "2_train_torch", {})
    assert job.run_job(planned, {}).outcome == "skipped"
    (run.folder / "predictions" / "ETIS.csv").unlink()
    assert run.damaged
    job.run_job(planned, {})
    assert stages == ["3_evaluate"]


def test_one_figure_changed_is_refused(run):
    path = run.folder / "cases.csv"
    path.write_text(path.read_text().replace(",polyp,", ",polyp,9", 1))
    assert "cases.csv has 36 rows" in _refusal(run.cases)
    changed = run.folder / "history.csv"
    changed.write_text(changed.read_text().replace("0.25", "0.15"))
    words = _refusal(run.history)
    assert f"The run {run.id} is not used: history.csv has 2 rows (sha256 " in words
    assert "run.json and repeat the sweep: its last checkpoint has the history where it was kept" in words


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (lambda text: "", "cannot be read (No columns to parse from file)"),
        (lambda text: text[: len(text) // 3], "cases of ClinicDB, expected 20, 0 cases of ETIS, expected 16"),
        (lambda text: text[: text.rindex("polyp") + 6], "has 36 rows, not all of them whole, expected 36"),
        (lambda text: text.replace("class", "clas", 1), "has no column class"),
        (lambda text: text + text.splitlines()[-1] + "\n", "has 37 rows, not all of them whole, expected 36"),
    ],
)
def test_a_cut_table_is_named_also_without_a_checksum(run, cut, expected):
    path = _old(run).folder / "cases.csv"
    path.write_text(cut(path.read_text()))
    words = _refusal(run.cases)
    assert f"The run {run.id} is not used: cases.csv" in words
    assert expected in words


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "history.csv cannot be read (No columns to parse from file)"),
        ("epoch,split,loss\n1,train,0.5\n", "history.csv ends with epoch 1, expected 2"),
        ("epoch,split,loss\n1,train,0.5\n2,train,0.", "history.csv ends in the middle of a line"),
        ("loss\n0.5\n", "history.csv has no column epoch, split"),
    ],
)
def test_a_cut_history_is_named_also_without_a_checksum(run, content, expected):
    _old(run).update(selection={"epochs_trained": 2})
    (run.folder / "history.csv").write_text(content)
    words = _refusal(run.history)
    assert f"The run {run.id} is not used: {expected}" in words
    assert "repeat the sweep" in words


def test_a_record_of_before_there_were_checksums_is_accepted(run):
    old = _old(run)
    assert (len(old.cases()), len(old.history()), len(predictions_of(old, "ETIS"))) == (36, 2, 16)


def test_changed_predictions_are_refused_and_read_once(run, monkeypatch):
    read = []
    of_files = tables._of_files.__wrapped__
    monkeypatch.setattr(tables, "_of_files", tables.functools.cache(lambda *a: read.append(a) or of_files(*a)))
    for test_set in (*SETS, *SETS):
        predictions_of(run, test_set)
    assert len(read) == 1
    (run.folder / "predictions" / "ETIS.csv").unlink()
    words = _refusal(lambda: predictions_of(run, "ClinicDB"))
    assert f"The run {run.id} is not used: predictions has 1 files" in words
    assert "expected 2 files" in words
    assert "predictions/ETIS.csv cannot be read" in _refusal(lambda: predictions_of(_old(run), "ETIS"))


def test_a_history_that_still_grows_is_not_refused(run, dataset):
    longer = pd.DataFrame({"epoch": [1, 2, 3], "split": "train", "loss": [0.5, 0.25, 0.125]})
    run.write_table("history.csv", longer)
    assert "has 3 rows" in _refusal(run.history)
    with run.lock():
        assert len(run.history()) == 3, "somebody is computing it"
    run.update(status="running")
    assert len(run.history()) == 3
    run.finish()
    assert len(run.history()) == 3
    assert run.record["tables"]["history.csv"]["rows"] == 3
    assert run.record["tables"]["cases.csv"]["rows"] == 36


def test_scored_again_the_run_is_good_again_and_a_kill_leaves_it_unscored(run, monkeypatch):
    run.write_table("cases.csv", run.cases().iloc[12:])
    written = Run.write_table

    def dying(self, name, table):
        if name == "cases.csv":
            raise KeyboardInterrupt
        return written(self, name, table)

    with monkeypatch.context() as deadly, pytest.raises(KeyboardInterrupt):
        deadly.setattr(Run, "write_table", dying)
        _score(run, _cases(1))
    assert not run.evaluated
    assert set(run.record["tables"]) == {"history.csv"}
    _score(run, _cases(1))
    assert run.evaluated
    pd.testing.assert_frame_equal(run.cases(), _cases(1))
