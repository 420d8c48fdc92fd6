"""What can be known before a sweep starts is refused before it starts, for the rows that it concerns."""

import io
import json
import os
import shutil

import pandas as pd
import pytest

from medseg import project
from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.experiments import preflight, runs
from medseg.experiments.job import Job
from medseg.experiments.params import read_schema


def test_data_without_cases_of_a_split_is_refused(dataset, tmp_path):
    assert preflight.lacking_split(str(dataset.folder), -1) == ""
    for split in index.SPLITS:
        folder = shutil.copytree(dataset.folder, tmp_path / split)
        table = pd.read_csv(folder / "index.csv")
        table[table["split"] != split].to_csv(folder / "index.csv", index=False)
        assert f"has no case in {split}; a training needs train and" in preflight.lacking_split(str(folder), -1)
    assert "not divided into folds" in preflight.lacking_split(str(dataset.folder), 3)
    assert "No prepared dataset at" in preflight.lacking_split(str(tmp_path / "gone"), -1)


def test_data_of_another_study_is_refused(dataset):
    with pytest.raises(MedsegError, match="is prepared for the study polyp, not for handbone. Give data of handbone"):
        runs.prepare_run("handbone", "2_train", {"seed": 1}, dataset)


def test_a_folder_of_runs_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    job = Job(tmp_path / "runs" / "toy" / "one", "toy", "2_train", {})
    preflight.check_place([job])
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(MedsegError, match=f"{tmp_path} may not be written to.*{project.RUNS_VARIABLE}"):
        preflight.check_place([job])
    (tmp_path / "runs").write_text("")
    with pytest.raises(MedsegError, match="runs is a file"):
        preflight.check_place([job])


def test_a_check_that_fails_itself_refuses_its_row_alone(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([{"seed": 1}, {}])))
    preflight.answer(lambda parameters: f"seed {parameters['seed']}")
    fine, failed = json.loads(capsys.readouterr().out)
    assert fine == ["", "seed 1"]
    assert failed == ["The check of a run failed (KeyError: 'seed').", ""]


def test_networks_that_are_the_same_are_tried_once(monkeypatch):
    check = pytest.importorskip("medseg.pytorch.check")
    tried, try_step = [], check.try_step
    monkeypatch.setattr(
        check, "try_step", lambda model, name, **size: tried.append(name) or try_step(model, name, **size)
    )
    schema = read_schema(project.root() / "notebooks/polyp/2_train_torch.ipynb")
    check._tried.cache_clear()
    for learning_rate, width in ((1e-3, 0.25), (1e-4, 0.25), (1e-4, 0.5)):
        row = {"architecture": "unet", "backbone": "none", "learning_rate": learning_rate, "width": width}
        assert "M parameters" in check.check(schema.complete({**row, "weights": "none"}, "test"))
    assert len(tried) == 2
