"""A Dask worker and the scheduler die: the run goes on with the next worker, or the sweep is repeated."""

import json
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.faults


class Cluster:
    """A scheduler of a project, at ``address``, and its workers."""

    def __init__(self, toy):
        self._toy, self._file, self.started = toy, toy.root / "scheduler.json", []
        self.start_scheduler()

    def start_scheduler(self, port="0"):
        self._file.unlink(missing_ok=True)
        self.scheduler = self._start("dask_scheduler", "--port", port, "--no-dashboard")
        self._until(self._file.exists)
        self.address = json.loads(self._file.read_text("utf-8"))["address"]

    def worker(self):
        return self._start("dask_worker", "--nthreads", "1", "--resources", "GPU=1", "--no-nanny", "--no-dashboard")

    def _start(self, module, *options):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(self._file), *options]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.started.append(subprocess.Popen(command, env=self._toy.environment, cwd=self._toy.root, **quiet))
        return self.started[-1]

    @staticmethod
    def _until(ready):
        while not ready():
            time.sleep(0.05)

    def end(self):
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(toy):
    cluster = Cluster(toy)
    yield cluster
    cluster.end()


def test_a_killed_worker_gives_its_run_to_the_next(toy, cluster):
    first = cluster.worker()
    toy.hold()
    sweep = toy.start("--scheduler", cluster.address)
    toy.held(sweep)
    cluster.worker()
    first.kill()
    toy.release()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said


def test_a_killed_scheduler_ends_the_sweep_which_is_repeated(toy, cluster):
    cluster.worker()
    toy.hold()
    sweep = toy.start("--scheduler", cluster.address)
    toy.held(sweep)
    cluster.scheduler.kill()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode != 0
    assert "The cluster lost the run" in " ".join(said.split())
    cluster.end()
    toy.release()
    assert toy.left() == []
    code, said = toy.sweep()
    assert code == 0, said


def test_a_restarted_scheduler_takes_the_repeated_sweep(toy, cluster):
    worker = cluster.worker()
    toy.hold()
    sweep = toy.start("--scheduler", cluster.address)
    toy.held(sweep)
    address = cluster.address
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.start_scheduler(address.rpartition(":")[2])
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode != 0, said
    toy.release()
    worker.wait(timeout=120)  # it ends by itself, and its run with it
    cluster.worker()
    code, said = toy.sweep("--scheduler", address)
    assert code == 0, said
    cluster.end()
