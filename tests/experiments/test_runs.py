import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import runs
from medseg.experiments.identity import run_id


@pytest.fixture(autouse=True)
def own_runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))


QUESTION = {"architecture": "smp-unet", "backbone": "resnet18", "resolution": 96, "seed": 1, "learning_rate": 1e-3}


def test_the_same_question_has_the_same_id_and_another_has_another():
    fingerprint = "f" * 64
    first = run_id("polyp", "2_train", QUESTION, fingerprint)
    assert first.startswith("smp-unet-resnet18-96-s1-")
    assert first == run_id("polyp", "2_train", dict(reversed(QUESTION.items())), fingerprint)
    assert first == run_id("polyp", "2_train", {**QUESTION, "data": "elsewhere", "device": "cuda"}, fingerprint)
    others = {
        run_id("polyp", "2_train", {**QUESTION, "learning_rate": 1e-4}, fingerprint),
        run_id("polyp", "2_train", QUESTION, "e" * 64),
        run_id("polyp", "2_train_keras", QUESTION, fingerprint),
        run_id("handbone", "2_train", QUESTION, fingerprint),
    }
    assert len(others | {first}) == 5


def test_the_id_of_a_known_question_never_changes():
    # Finished runs on somebody's disk are found again by this name.
    assert run_id("polyp", "2_train_torch", QUESTION, "0" * 64) == "smp-unet-resnet18-96-s1-658f86c8"


def test_status_over_the_life_of_a_run(dataset):
    run = runs.prepare_run("polyp", "2_train", QUESTION, dataset)
    assert run.status == "absent"
    with runs.training(run, "polyp", "2_train", QUESTION, dataset):
        assert run.status == "running"
        with pytest.raises(MedsegError, match="computed by another process"), runs.evaluating(_finished(run)):
            pass
        run.finish(selection={"best_epoch": 3})
    assert run.status == "finished"
    assert not run.evaluated
    assert run.record["dataset"]["fingerprint"] == dataset.fingerprint
    assert run.record["parameters"] == QUESTION
    assert set(run.record["versions"]) >= {"python", "torch", "tensorflow", "numpy"}
    run.write_table("cases.csv", pd.DataFrame({"dice": [np.nan, 0.25]}))
    run.update(evaluation={})
    assert run.evaluated
    assert pd.read_csv(run.folder / "cases.csv", skip_blank_lines=False)["dice"].isna().sum() == 1


def _finished(run):
    run.update(status="finished")
    return run


def test_an_error_is_recorded_and_the_next_try_clears_it(dataset):
    run = runs.prepare_run("polyp", "2_train", QUESTION, dataset)
    with pytest.raises(ZeroDivisionError), runs.training(run, "polyp", "2_train", QUESTION, dataset):
        _ = 1 / 0
    assert (run.status, run.record["error"]) == ("failed", "ZeroDivisionError: division by zero")
    with runs.training(run, "polyp", "2_train", QUESTION, dataset):
        assert run.record["error"] is None


def test_a_killed_process_leaves_an_interrupted_run(dataset):
    code = f"""
import time
from medseg.datasets import index
from medseg.experiments import runs
from medseg.experiments.identity import run_id
dataset = index.load({str(dataset.folder)!r})
run = runs.prepare_run("polyp", "2_train", {QUESTION!r}, dataset)
with runs.training(run, "polyp", "2_train", {QUESTION!r}, dataset):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "held"
    run = runs.prepare_run("polyp", "2_train", QUESTION, dataset)
    assert run.status == "running"
    process.kill()
    process.wait()
    assert run.status == "interrupted"


def test_runs_are_found_by_part_of_their_id(dataset):
    for seed in (1, 2):
        question = {**QUESTION, "seed": seed}
        run = runs.prepare_run("polyp", "2_train", question, dataset)
        with runs.training(run, "polyp", "2_train", question, dataset):
            run.finish()
    assert len(runs.all_runs("polyp")) == 2
    assert runs.find_run("polyp", "smp-unet-resnet18-96-s2").record["seed"] == 2
    assert runs.find_run("polyp", run.id[-8:]).id == run.id
    assert runs.find_run("polyp", str(run.folder)).id == run.id
    assert runs.find_run("polyp", "latest").record["status"] == "finished"
    with pytest.raises(MedsegError, match="2 runs of polyp match 'smp'"):
        runs.find_run("polyp", "smp")
    with pytest.raises(MedsegError, match="0 runs of polyp match 'vit'"):
        runs.find_run("polyp", "vit")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "run.json is empty. Remove this file and repeat the sweep"),
        (b'{"status": "fini', "run.json is not valid JSON"),
        (b"\x80\x02PK\x00", "run.json is not valid JSON"),
        (b"[1, 2]", "run.json holds a list, which is no record of a run"),
        (b'{"status": "finished", "parameters": []}', "holds a list under 'parameters'"),
        (b'{"status": "finished", "study": "polyp"}', "lacks stage, parameters, dataset, dataset.fingerprint"),
    ],
)
def test_a_damaged_record_is_named_and_passed_over(dataset, content, expected):
    good = runs.prepare_run("polyp", "2_train", QUESTION, dataset)
    with runs.training(good, "polyp", "2_train", QUESTION, dataset):
        good.finish()
    bad = runs.prepare_run("polyp", "2_train", {**QUESTION, "seed": 2}, dataset)
    bad.folder.mkdir(parents=True)
    (bad.folder / "run.json").write_bytes(content)
    assert expected in bad.fault
    assert not bad.evaluated
    assert runs.find_run("polyp", "latest").id == good.id
    assert [run.id for run in runs.usable_runs()] == [good.id]
    with pytest.raises(MedsegError, match="cannot be used") as refusal:
        runs.find_run("polyp", bad.id)
    assert expected in str(refusal.value)
    if "lacks" not in expected:
        assert bad.status == "unreadable"
        with pytest.raises(MedsegError):
            _ = bad.record


def test_a_record_that_may_not_be_read_is_named(dataset, monkeypatch):
    run = runs.prepare_run("polyp", "2_train", QUESTION, dataset)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(run.folder), "read_bytes", refuse)
    assert "run.json cannot be read (Permission denied). Give yourself the right to read it." in run.fault
    assert run.status == "unreadable"
