"""Whatever is killed: the sweep, repeated where it has to be, ends with the tables of one that nothing disturbed."""

import signal
import subprocess
import sys

import pytest

from medseg.experiments import preload
from medseg.experiments.runs import Run


@pytest.mark.faults
def test_a_killed_kernel_is_started_again_and_goes_on(toy):
    toy.hold()
    sweep = toy.start()
    kernel = toy.held(sweep)
    toy.release()
    kernel.kill()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said
    assert "begun_anew" not in Run(toy.run).record


@pytest.mark.faults
def test_a_killed_papermill_is_started_again(toy):
    toy.hold()
    sweep = toy.start()
    papermill = toy.held(sweep).parent()
    assert any("medseg.experiments" in word for word in papermill.cmdline())
    toy.release()
    papermill.kill()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said


@pytest.mark.faults
@pytest.mark.skipif(not preload.possible({"CUDA_VISIBLE_DEVICES": "-1"}), reason="nothing is forked here")
def test_a_killed_server_of_imports_takes_its_notebook_along_which_starts_again(toy):
    toy.hold()
    sweep = toy.start()
    server = toy.held(sweep).parent().parent()
    assert any("preload_server" in word for word in server.cmdline())
    toy.release()
    server.kill()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.faults),
        pytest.param(signal.SIGINT, marks=pytest.mark.faults),
    ],
)
def test_an_ended_sweep_leaves_no_process_and_a_run_that_goes_on(toy, how):
    toy.hold()
    sweep = toy.start()
    kernel = toy.held(sweep)
    assert kernel in toy.processes()  # else it would mean nothing that none is found below
    sweep.send_signal(how)
    sweep.communicate(timeout=60)
    assert sweep.returncode != 0
    assert toy.left() == []
    assert Run(toy.run).status == "interrupted"
    toy.release()
    code, said = toy.sweep()
    assert code == 0, said
    assert "resume" in said


@pytest.mark.faults
def test_two_sweeps_of_the_same_runs_do_not_meet(toy):
    toy.hold()
    first = toy.start()
    toy.held(first)
    code, said = toy.sweep()
    assert code == 1
    assert "is being computed by another process. Wait for it, or end it, then run again" in said
    _ends_well(toy, first)


@pytest.mark.faults
def test_a_run_by_hand_meanwhile_is_refused(toy):
    toy.hold()
    first = toy.start()
    toy.held(first)
    notebook = toy.root / "notebooks" / "toy" / "2_train.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(toy.root / "by hand.ipynb")]
    by_hand = subprocess.run(command, env=toy.environment, capture_output=True, text=True, cwd=toy.root, timeout=120)
    assert "is being computed by another process" in by_hand.stderr
    _ends_well(toy, first)


@pytest.mark.faults
def test_a_training_that_hangs_is_ended_at_its_time_limit(toy):
    toy.hold()
    code, said = toy.sweep("--timeout", str(15 / 3600))
    assert code == 1
    assert "ended after 15 s, its time limit" in said
    assert toy.left() == []
    toy.release()
    code, said = toy.sweep()
    assert code == 0, said


def _ends_well(toy, sweep):
    """Let go of what ``sweep`` waits for, and assert that it ends as it should."""
    toy.release()
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said
