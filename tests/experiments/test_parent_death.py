"""What is started does not outlive the process that started it."""

import subprocess
import sys
import time

import psutil

WATCHED = """
import os, sys, time
from pathlib import Path
from medseg.experiments import parent_death
parent_death.watch(int(sys.argv[1]))
Path(sys.argv[2]).write_text(str(os.getpid()))
time.sleep(120)
"""
#: A module that takes long to import; what says so is written before.
SLOW = """
import os, time
from pathlib import Path
Path(__file__).with_name("pid").write_text(str(os.getpid()))
if os.environ.get("SLOW"):
    time.sleep(120)
def work():
    Path(__file__).with_name("worked").touch()
"""
STARTER = """
import os, sys
from medseg.experiments.parent_death import WatchedContext
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import slow
    os.environ["SLOW"] = sys.argv[2]
    process = WatchedContext().Process(target=slow.work)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_a_watched_process_ends_with_its_parent_on_any_system(tmp_path):
    """What macOS and Windows rely on, which have no parent-death signal."""
    pid = tmp_path / "pid"
    child = f"[sys.executable, '-c', {WATCHED!r}, str(os.getpid()), {str(pid)!r}]"
    parent = subprocess.Popen([sys.executable, "-c", f"import os, subprocess, sys; subprocess.run({child})"])
    _killed_with(parent, pid, [])


def test_a_process_that_is_still_importing_ends_with_its_parent(tmp_path):
    parent = _start(tmp_path, slow="yes")
    _killed_with(parent, tmp_path / "pid", [str(parent.pid)])
    assert not (tmp_path / "worked").exists()


def test_a_process_whose_parent_lives_does_its_work(tmp_path):
    assert _start(tmp_path, slow="").wait(60) == 0
    assert (tmp_path / "worked").exists()


def _start(folder, slow):
    (folder / "slow.py").write_text(SLOW)
    (folder / "starter.py").write_text(STARTER)
    return subprocess.Popen([sys.executable, str(folder / "starter.py"), str(folder), slow])


def _killed_with(parent, pid, others):
    """Kill ``parent`` as soon as the file ``pid`` names its child, none of the ``others``; that one ends as well."""

    def named():
        assert parent.poll() is None, "it ended by itself"
        return pid.exists() and pid.read_text() not in ("", *others)

    _wait_for(named)
    child = psutil.Process(int(pid.read_text()))
    assert child.ppid() == parent.pid
    parent.kill()
    parent.wait()
    _wait_for(lambda: not _alive(child))


def _alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
