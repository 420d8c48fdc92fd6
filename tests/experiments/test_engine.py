"""Jobs on slots, with toy notebooks that train and evaluate in no time."""

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import engine, progress
from medseg.experiments.job import HALVINGS_VARIABLE, Job, run_job
from medseg.experiments.runs import Run

TRAIN = """
import json, os, time
from pathlib import Path
def record(**entries):
    Path("part").write_text(json.dumps({"run_id": Path.cwd().name, **entries})); os.replace("part", "run.json")
with open("log", "a") as log: print("train", os.environ.get("SLOT", "-"), file=log)
record(status="running")
time.sleep(pause)
if fault == "memory" and "MEDSEG_BATCH_HALVINGS" not in os.environ:
    record(status="failed", error="Out of memory on a toy"); raise MemoryError("Out of memory on a toy")
if fault == "cell":
    raise ValueError("no such backbone")
record(status="finished", halvings=os.environ.get("MEDSEG_BATCH_HALVINGS"))
"""
EVALUATE = """
import json, os
from pathlib import Path
with open("log", "a") as log: print("evaluate", file=log)
Path("cases.csv").write_text("dice\\n")
entries = json.loads(Path("run.json").read_text())
Path("part").write_text(json.dumps({**entries, "evaluation": {}})); os.replace("part", "run.json")
"""


@pytest.fixture
def job(tmp_path, monkeypatch, write_notebook):
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    study = tmp_path / "notebooks" / "toy"
    write_notebook(study / "2_train.ipynb", "fault: str = ''\npause: float = 0.0", TRAIN)
    write_notebook(study / "3_evaluate.ipynb", "run_id: str = ''", EVALUATE)

    def make(name, **parameters):
        return Job(tmp_path / "runs" / "toy" / name, "toy", "2_train", {"fault": "", "pause": 0.0, **parameters})

    return make


def _log(job):
    return (job.folder / "log").read_text().split()


def test_a_failing_run_never_stops_the_others_and_is_named(job):
    jobs = [job("good"), job("bad", fault="cell"), job("also-good")]
    ended = []
    outcomes = engine.run_local(jobs, [{"SLOT": "a"}, {"SLOT": "b"}], on_end=ended.append)
    assert [outcome.outcome for outcome in outcomes] == ["done", "failed", "done"]
    assert "ValueError: no such backbone" in outcomes[1].error
    assert outcomes[1].log.is_file()
    assert Run(jobs[1].folder).record["status"] == "failed"
    assert _log(jobs[0])[0::2][:2] == ["train", "evaluate"]
    assert {_log(j)[1] for j in (jobs[0], jobs[2])} <= {"a", "b"}
    assert len(ended) == 3

    again = engine.run_local(jobs, [{}])
    assert [outcome.outcome for outcome in again] == ["skipped", "failed", "skipped"]
    assert _log(jobs[0]).count("train") == 1


def test_a_run_whose_record_is_damaged_fails_alone(job):
    jobs = [job("bad"), job("good")]
    jobs[0].folder.mkdir(parents=True)
    (jobs[0].folder / "run.json").write_text('{"status": "fin')
    outcomes = engine.run_local(jobs, [{}])
    assert [outcome.outcome for outcome in outcomes] == ["failed", "done"]
    assert outcomes[0].error.startswith(f"{project.display(jobs[0].folder / 'run.json')} is not valid JSON")
    assert (jobs[0].folder / "run.json").read_text() == '{"status": "fin'


def test_damaged_progress_is_none(tmp_path):
    for content in ("", "[1]", '{"done": 1}', '{"done": 1, "total": 2, "text": "epoch 1"}'):
        (tmp_path / "progress.json").write_text(content)
        found = progress.read(tmp_path)
        assert found == ({"done": 1, "total": 2, "text": "epoch 1"} if "total" in content else {})


def test_a_finished_training_is_only_evaluated(job):
    one = job("one")
    one.folder.mkdir(parents=True)
    (one.folder / "run.json").write_text(json.dumps({"status": "finished"}))
    assert run_job(one, {}).outcome == "done"
    assert _log(one) == ["evaluate"]


def test_out_of_memory_is_retried_once_with_half_the_batch(job):
    one = job("one", fault="memory")
    assert run_job(one, {}).outcome == "done"
    assert Run(one.folder).record["halvings"] == "1"
    assert HALVINGS_VARIABLE == "MEDSEG_BATCH_HALVINGS"


def test_a_stop_file_ends_what_runs_and_starts_nothing_more(job, tmp_path):
    jobs, stop_file = [job("one", pause=100.0), job("two", pause=100.0)], tmp_path / "STOP"

    def stop_when_running():
        while not (jobs[0].folder / "run.json").exists():
            time.sleep(0.05)
        stop_file.touch()

    threading.Thread(target=stop_when_running, daemon=True).start()
    outcomes = engine.run_local(jobs, [{}], stop_file=stop_file)
    assert [outcome.outcome for outcome in outcomes] == ["stopped", "stopped"]
    assert Run(jobs[0].folder).status == "interrupted"
    assert not jobs[1].folder.exists()


def test_ctrl_c_leaves_a_run_that_can_go_on(job, tmp_path):
    one = job("one", pause=100.0)
    code = f"""
import signal
from pathlib import Path
from medseg import project
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it puts in the background without it
project.root = lambda: Path({str(tmp_path)!r})
from medseg.experiments import engine
from medseg.experiments.job import Job
engine.run_local([Job(Path({str(one.folder)!r}), "toy", "2_train", {one.parameters!r})], [{{}}])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while not (one.folder / "run.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert Run(one.folder).status == "interrupted"


def test_a_cluster_runs_the_same_jobs(job, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    jobs = [job("one"), job("bad", fault="cell"), job("two")]
    monkeypatch.setenv("SLOT", "worker")
    cluster = distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        resources={"GPU": 1},
        dashboard_address=None,
        scheduler_port=0,
        protocol="tcp://",
    )
    with cluster:
        outcomes = engine.run_on_cluster(jobs, cluster.scheduler_address, stop_file=tmp_path / "STOP")
    assert [outcome.outcome for outcome in outcomes] == ["done", "failed", "done"]
    assert _log(jobs[0])[1] == "worker"


def test_a_cluster_without_a_worker_for_the_runs_is_refused(job, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(engine, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(engine, "_WORKERS_SECONDS", 1.0)
    options = {"processes": False, "dashboard_address": None, "scheduler_port": 0, "protocol": "tcp://"}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, resources={"GPU": 1}, **options) as cluster:
        needed = [job("one", devices=2)]
        with pytest.raises(MedsegError, match=r"offers GPU=2, and none came .*1 workers are there, .* offers is 1"):
            engine.run_on_cluster(needed, cluster.scheduler_address, stop_file=tmp_path / "STOP")
    assert not needed[0].folder.exists()
