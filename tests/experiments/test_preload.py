"""Notebooks as copies of a process that has imported everything: they run as others do, and start all the same."""

import json
import subprocess
import sys

import psutil
import pytest

from medseg.experiments import preflight, preload
from medseg.experiments.job import Job
from medseg.experiments.notebooks import run_notebook

pytestmark = pytest.mark.skipif(not preload.possible({"CUDA_VISIBLE_DEVICES": "-1"}), reason="cannot fork here")

FIRST = """
import json, os, random, sys
import numpy as np
facts = {
    "value": value, "slot": os.environ["SLOT"], "folder": os.getcwd(), "loaded": "colorsys" in sys.modules,
    "random": [random.random(), np.random.random()], "above": os.getppid(), "own": os.getpid(),
}
"""
THREADS = """
import torch
facts = {"threads": torch.get_num_threads()}
"""
CHECK = """
import sys
from medseg.experiments import preflight

def check(parameters):
    preflight.check_seed(parameters)
    return f"{sys.stem} {parameters['seed']}"

if __name__ == "__main__":
    print("something else first")
    preflight.answer(check)
"""
FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
WRITE = "from pathlib import Path\nPath('result.json').write_text(json.dumps(facts)); print('said')"


@pytest.fixture
def statements(monkeypatch):
    """What the server imports, beside what it always does."""
    statements = ["import colorsys"]
    monkeypatch.setattr(preload, "imports", lambda job: statements)
    return statements


@pytest.fixture
def run(tmp_path, write_notebook, statements):
    with preload.Servers() as servers:
        begin = servers.starter(Job(tmp_path, "polyp", "2_train_torch", {}))

        def execute(name, *cells):
            notebook = write_notebook(tmp_path / f"{name}.ipynb", "value: int = 1", *cells)
            output = tmp_path / name / f"{name}.ipynb"
            result, slot = output.parent / "result.json", {"SLOT": name, "OMP_NUM_THREADS": "3"}
            done = run_notebook(notebook, output, {"value": 7}, result=result, environment=slot, begin=begin)
            facts = json.loads(result.read_text()) if result.is_file() else {}
            return done, facts, json.loads(output.read_text())

        yield execute
    (server,) = servers._servers.values()
    assert server._process.poll() is not None


def test_a_check_is_answered_by_a_copy_that_has_imported_all(tmp_path, statements):
    (tmp_path / "checks.py").write_text(CHECK)
    statements[:] = [f"import sys; sys.stem = 'copied'; sys.path.insert(0, {str(tmp_path)!r})"]
    jobs = [Job(tmp_path, "polyp", "2_train_torch", {"seed": seed}) for seed in (1, -1)]
    with preload.Servers() as servers:
        said = servers.said(jobs[0], "checks", json.dumps([job.parameters for job in jobs]))
        assert servers.said(jobs[0], "no_such_module", "[]") is None
        again = servers.said(jobs[0], "checks", json.dumps([{"seed": 2}]))
    assert said is not None
    assert again == 'something else first\n[["", "copied 2"]]\n'
    first, second = json.loads(said.splitlines()[-1])
    assert first == ["", "copied 1"]
    assert second[0].startswith("seed is -1, expected a whole number")


def test_where_a_copy_fails_a_check_is_a_process_of_its_own(tmp_path, monkeypatch):
    job = Job(tmp_path, "polyp", "2_train_torch", {})
    verdicts = {}
    for name, said in (("copy", lambda *asked: '[["", "quick"]]'), ("none", lambda *asked: None)):
        monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, '[["", "slow"]]', ""))
        (verdicts[name],) = preflight.check([job], said)
    assert [verdict.facts for verdict in verdicts.values()] == ["quick", "slow"]


def test_a_forked_notebook_runs_as_one_that_papermill_starts(run, tmp_path):
    done, facts, executed = run("a", FIRST, FIGURE, WRITE)
    assert (done.outcome, done.error) == ("done", "")
    assert (facts["value"], facts["slot"], facts["folder"], facts["loaded"]) == (7, "a", str(tmp_path / "a"), True)
    shown = [output.get("data", {}) for cell in executed["cells"] for output in cell["outputs"]]
    assert any("image/png" in data for data in shown)
    assert "Input Notebook" in done.log.read_text()
    again, others, _ = run("b", FIRST, WRITE)
    assert again.outcome == "done"
    assert others["slot"] == "b"
    assert not set(facts["random"]) & set(others["random"])
    assert not psutil.pid_exists(facts["own"])
    assert not psutil.pid_exists(facts["above"])
    bad, _, _ = run("c", "raise ValueError('too small')")
    assert bad.outcome == "failed"
    assert "ValueError: too small" in bad.error


def test_a_forked_notebook_has_the_threads_of_its_slot(run, statements):
    statements.append("import torch")
    assert run("a", "import json", THREADS, WRITE)[1] == {"threads": 3}


@pytest.mark.parametrize(
    "fault",
    [
        "import no_such_module",
        "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "import os; os._exit(3)",
    ],
)
def test_where_nothing_can_be_forked_notebooks_start_in_the_ordinary_way(run, statements, fault):
    statements.append(fault)
    done, facts, _ = run("a", FIRST, WRITE)
    assert (done.outcome, done.error) == ("done", "")
    assert facts["loaded"] is False


def test_the_server_imports_what_the_notebooks_of_a_run_import(tmp_path):
    found = preload.imports(Job(tmp_path, "handbone", "2_train", {}))
    assert "from medseg.pytorch.training import train" in found
    assert "from medseg.evaluation.evaluator import evaluate" in found
    assert found[-1] == "import medseg.pytorch.overlapping_inference"
    assert not any("tensorflow" in line for line in found)


@pytest.mark.parametrize(
    ("study", "stage"), [("polyp", "2_train_torch"), ("polyp", "2_train_keras"), ("gastric", "2_train")]
)
def test_importing_a_framework_starts_no_thread(tmp_path, study, stage):
    lines = "\n".join(preload.imports(Job(tmp_path, study, stage, {})))
    count = "\nimport os; print(len(os.listdir('/proc/self/task')))"
    environment = {**preload.os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    said = subprocess.run(
        [sys.executable, "-c", lines + count], capture_output=True, text=True, env=environment, timeout=300
    )
    assert said.stdout.split()[-1] == "1", said.stderr
