"""One papermill process per notebook: outcome, retry, time limit, no orphans.

How often a notebook ran is counted by its own cell: a kernel that does not start, as happens on a busy machine, is one
attempt more.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from medseg.experiments import notebooks
from medseg.experiments.notebooks import run_notebook

COUNT = "from pathlib import Path; Path('tries').open('a').write('x')"
WRITE = "from pathlib import Path; Path('result.txt').write_text(str(value))"


@pytest.fixture
def run(tmp_path, write_notebook):
    def execute(*cells, **options):
        notebook = write_notebook(tmp_path / "toy.ipynb", "value: int = 1", *cells)
        folder = tmp_path / "run"
        return run_notebook(notebook, folder / "toy.ipynb", {"value": 7}, result=folder / "result.txt", **options)

    return execute


def test_done_means_exit_code_zero_and_a_fresh_result(run, tmp_path):
    execution = run("import os; assert os.environ['SLOT'] == '3'", WRITE, environment={"SLOT": "3"})
    assert (execution.outcome, execution.error) == ("done", "")
    assert (tmp_path / "run" / "result.txt").read_text() == "7"
    stale = run("pass")
    assert stale.outcome == "failed"
    assert "without writing" in stale.error


def test_values_arrive_as_they_were(tmp_path, write_notebook):
    values = {"tiny": 1e-5, "text": "1e-4", "flag": False, "word": "true", "names": ["no", "a b"], "empty": ""}
    cell = "".join(f"{name}: {type(value).__name__} = {type(value)()!r}\n" for name, value in values.items())
    show = f"from pathlib import Path; Path('result.txt').write_text(repr({{k: globals()[k] for k in {list(values)}}}))"
    notebook = write_notebook(tmp_path / "toy.ipynb", cell, show)
    result = tmp_path / "run" / "result.txt"
    assert run_notebook(notebook, tmp_path / "run" / "toy.ipynb", values, result=result).outcome == "done"
    assert result.read_text() == repr(values)


def test_papermill_knows_every_parameter(tmp_path, write_notebook):
    cell = (
        "from typing import Literal\n"
        "schedule: Literal['plateau', 'cosine'] = 'plateau'  # of the learning rate\n"
        "augmentation: str = 'none'  # such as Rotate(limit=5) + RandomGamma()\n"
    )
    show = "from pathlib import Path; Path('result.txt').write_text(schedule + augmentation)"
    notebook = write_notebook(tmp_path / "toy.ipynb", cell, show)
    result, given = tmp_path / "run" / "result.txt", {"schedule": "cosine", "augmentation": "a=b"}
    execution = run_notebook(notebook, tmp_path / "run" / "toy.ipynb", given, result=result)
    assert (execution.outcome, result.read_text()) == ("done", "cosinea=b")
    log = execution.log.read_text()
    assert "Input Notebook" in log
    assert not re.search("unknown parameter|Unable to parse|Warning", log), log


def test_an_error_of_a_cell_is_named_and_never_retried(run, tmp_path):
    execution = run(COUNT, "raise ValueError('too small')")
    assert execution.outcome == "failed"
    assert "ValueError: too small" in execution.error
    assert (tmp_path / "run" / "tries").read_text() == "x"


def test_a_dead_kernel_is_retried_once(run, tmp_path):
    die_first = (
        "from pathlib import Path\nif not Path('died').exists():\n    Path('died').touch(); import os; os._exit(9)"
    )
    execution = run(COUNT, die_first, WRITE)
    assert (execution.outcome, execution.attempts >= 2) == ("done", True)
    assert (tmp_path / "run" / "tries").read_text() == "xx"


def test_a_kernel_that_dies_twice_fails(run, tmp_path):
    execution = run(COUNT, "import os; os._exit(9)", WRITE)
    assert execution.outcome == "failed"
    assert (tmp_path / "run" / "tries").read_text() == "xx"
    assert "process died" in execution.error


@pytest.mark.parametrize("how", ["timeout", "stopped"])
def test_time_limit_and_stop_end_the_kernel_too(run, tmp_path, how):
    cell = "import os, time; from pathlib import Path; Path('pid').write_text(str(os.getpid())); time.sleep(120)"
    pid, stop = tmp_path / "run" / "pid", threading.Event()

    def set_when_running():
        while not pid.exists():
            time.sleep(0.05)
        stop.set()

    if how == "stopped":
        threading.Thread(target=set_when_running, daemon=True).start()
    execution = run(COUNT, cell, timeout=25 if how == "timeout" else None, stop=stop)
    assert execution.outcome == how
    assert (tmp_path / "run" / "tries").read_text() == "x"
    assert not psutil.pid_exists(int(pid.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="relies on Linux's parent-death signal")
def test_nothing_outlives_a_killed_sweep(tmp_path, write_notebook):
    cell = "import os, time; from pathlib import Path; Path('pid').write_text(str(os.getpid())); time.sleep(120)"
    notebook = write_notebook(tmp_path / "toy.ipynb", "value: int = 1", cell)
    code = (
        "import sys; from pathlib import Path; from medseg.experiments.notebooks import run_notebook\n"
        f"folder = Path({str(tmp_path / 'run')!r})\n"
        f"run_notebook(Path({str(notebook)!r}), folder / 'toy.ipynb', {{}}, result=folder / 'result')"
    )
    sweep = subprocess.Popen([sys.executable, "-c", code])
    pid = tmp_path / "run" / "pid"
    _wait_for(lambda: pid.exists() and pid.read_text())
    family = psutil.Process(sweep.pid).children(recursive=True)
    assert len(family) >= 2  # papermill and the kernel
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    _wait_for(lambda: not any(_alive(process) for process in family))


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_the_log_is_kept_beside_the_notebook(run, tmp_path):
    execution = run(WRITE)
    assert execution.log == Path(tmp_path / "run" / "papermill.log")
    assert execution.log.stat().st_size > 0


def test_a_kernel_that_does_not_start_is_tried_once_more_and_then_named(tmp_path, write_notebook, monkeypatch):
    """The attempt itself is replaced: no kernel can be made to fail in this way at will."""
    tries = []

    def attempt(notebook, output, parameters, log, *rest):
        tries.append(output)
        log.write_text("RuntimeError: Kernel died before replying to kernel_info")
        return 1, "ended"

    monkeypatch.setattr(notebooks, "_attempt", attempt)
    notebook = write_notebook(tmp_path / "toy.ipynb", "value: int = 1")
    execution = run_notebook(notebook, tmp_path / "run" / "toy.ipynb", {}, result=tmp_path / "run" / "result.txt")
    assert (execution.outcome, len(tries)) == ("failed", 2)
    assert "did not start" in execution.error
