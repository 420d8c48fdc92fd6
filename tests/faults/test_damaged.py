"""Disks that are full and files that were cut: one message that says what to do, and after that the right tables."""

import json
import time

import pytest

from medseg.experiments.runs import Run


@pytest.mark.parametrize(
    "name",
    [
        "history.csv",
        pytest.param("last.npz", marks=pytest.mark.faults),
        pytest.param("best.npz", marks=pytest.mark.faults),
        pytest.param("cases.csv", marks=pytest.mark.faults),
        pytest.param("discs.csv", marks=pytest.mark.faults),
        pytest.param("run.json", marks=pytest.mark.faults),
    ],
)
def test_a_full_disk_is_named_and_the_sweep_goes_on_later(toy, name):
    (toy.root / "full").write_text(f".{name}.")
    code, said = toy.sweep()
    assert code == 1
    assert "The disk is full. Free some space and run the same command again" in said
    (toy.root / "full").unlink()
    code, said = toy.sweep()
    assert code == 0, said


def _interrupted(toy):
    toy.hold()
    sweep = toy.start()
    toy.held(sweep)
    sweep.kill()
    sweep.communicate(timeout=60)
    assert toy.left() == []
    toy.release()


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.faults
@pytest.mark.parametrize("name", ["last.npz", "best.npz"])
def test_a_training_with_a_cut_checkpoint_begins_anew_and_says_so(toy, name):
    _interrupted(toy)
    _cut(toy.run / "checkpoints" / name)
    code, said = toy.sweep()
    assert code == 0, said
    assert f"trained again from the start: {name} is damaged" in said


def test_a_finished_training_without_its_best_checkpoint_is_not_scored_but_trained_again(toy):
    assert toy.sweep()[0] == 0
    _cut(toy.run / "checkpoints" / "best.npz")
    (toy.run / "cases.csv").unlink()
    code, said = toy.sweep()
    assert code == 0, said
    assert "trained again from the start: best.npz is damaged" in said


@pytest.mark.faults
@pytest.mark.parametrize("name", ["run.json", "history.csv", "cases.csv"])
def test_a_cut_file_of_a_run_is_made_again_as_the_message_says(toy, name):
    assert toy.sweep()[0] == 0
    _cut(toy.run / name)
    code, said = toy.sweep()
    if name == "run.json":
        assert code == 1
        assert "run.json is not valid JSON" in said
        assert "Remove this file and repeat the sweep" in said
        (toy.run / "run.json").unlink()
        code, said = toy.sweep()
    assert code == 0, said


@pytest.mark.faults
def test_data_that_changed_before_the_evaluation_is_not_scored(toy):
    assert toy.sweep()[0] == 0
    run = Run(toy.run)
    (run.folder / "cases.csv").unlink()
    before = json.loads((run.folder / "run.json").read_text("utf-8"))["dataset"]["fingerprint"]
    toy.prepare(bright=150)
    code, said = toy.evaluate(run.folder)
    assert code != 0
    assert f"was prepared anew since (it was {before[:8]}" in said
    toy.prepare()
    assert toy.sweep()[0] == 0


@pytest.mark.faults
@pytest.mark.parametrize("name", ["toy-sweep.html", "index.html", "2_train.html", "means.csv"])
def test_a_report_for_which_the_disk_was_full_is_made_up_for(toy, name):
    (toy.root / "full").write_text(f".{name}.")
    code, said = toy.sweep("--report")
    assert code == 1
    assert "The disk is full. Free some space and run the same command again" in said
    (toy.root / "full").unlink()
    code, said = toy.sweep("--report")
    assert code == 0, said
    assert toy.report.name in (toy.root / "reports" / "index.html").read_text("utf-8")
    assert (toy.run / "2_train.html").is_file()
    assert toy.report.is_file()


@pytest.mark.faults
def test_a_clock_that_was_set_back_changes_nothing(toy):
    toy.set_clock(ahead=86_400)
    _interrupted(toy)
    assert (toy.run / "history.csv").stat().st_mtime > time.time() + 80_000
    toy.set_clock(ahead=0)
    code, said = toy.sweep("--report")
    assert code == 0, said
    assert "resume" in said
    assert Run(toy.run).record.get("begun_anew") is None


@pytest.mark.faults
def test_pages_are_made_anew_though_the_clock_was_set_back(toy):
    toy.set_clock(ahead=86_400)
    assert toy.sweep("--report")[0] == 0
    before = (toy.run / "3_evaluate.html").read_bytes()
    toy.set_clock(ahead=0)
    (toy.run / "cases.csv").unlink()
    notebook = toy.root / "notebooks" / "toy" / "3_evaluate.ipynb"
    notebook.write_text(
        notebook.read_text("utf-8").replace("with runs.evaluating", "print('anew')\\nwith runs.evaluating"), "utf-8"
    )
    code, said = toy.sweep("--report")
    assert code == 0, said
    assert (toy.run / "3_evaluate.html").read_bytes() != before
