"""Runs from before parameters were renamed are found again under the id that the same question has today."""

import json
import shutil

import pytest

from medseg import project
from medseg.experiments import migrate, params
from medseg.experiments.identity import run_id
from medseg.experiments.runs import Run, example_runs

OLD = {
    "architecture": "transunet", "xla": True, "restart": 300, "seed": 1,
    "augmentation": ["flip_left_right", "flip_up_down", "crop", "brightness", "rotate", "noise"],
}  # fmt: skip


def test_old_words_become_todays():
    known = {"compile": 0, "restart_epochs": 0, "restart_factor": 0, "tta": 0, "augmentation": ""}
    assert migrate.translated("gastric", OLD, known) == {
        "architecture": "transunet", "compile": True, "restart_epochs": 300, "restart_factor": 1, "seed": 1, "tta": [],
        "augmentation": "published",
    }  # fmt: skip
    assert migrate.translated("gastric", {"augmentation": []}, {})["augmentation"] == "none"
    assert migrate.translated("gastric", {"augmentation": ["crop", "noise"]}, {})["augmentation"] == "crop + noise"
    assert migrate.translated("gastric", {"augmentation": "crop"}, {})["augmentation"] == "crop"
    assert migrate.translated("polyp", {"xla": True}, {"crf": 0}) == {"xla": True, "crf": False}


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """A finished run as the first version wrote it, its id included, in a sweep."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "reports" / "runs"))
    source = example_runs("gastric")[0]
    record = source.record
    parameters = {
        {"compile": "xla", "restart_epochs": "restart"}.get(name, name): value
        for name, value in record["parameters"].items()
        if name not in ("restart_factor", "tta", "thresholds", "postprocess", "crf")
    }
    parameters["augmentation"] = OLD["augmentation"]
    folder = tmp_path / "reports" / "runs" / "gastric" / "transunet-96-s1-418b0af9"
    shutil.copytree(source.folder, folder)
    record = {**record, "run_id": folder.name, "parameters": parameters}
    (folder / "run.json").write_text(json.dumps(record))
    sweeps = tmp_path / "reports" / "sweeps"
    sweeps.mkdir()
    (sweeps / "final.json").write_text(json.dumps({"title": "Final", "run_ids": ["other", folder.name]}))
    return Run(folder)


def test_a_finished_run_is_found_under_its_new_name(old_run, tmp_path):
    (planned,) = migrate.plan()
    assert planned.needed
    assert not planned.problem
    moved = migrate.migrate(planned)
    schema = params.read_schema(project.root() / "notebooks" / "gastric" / "2_train.ipynb")
    asked = schema.complete(moved.record["parameters"], "")
    fingerprint = moved.record["dataset"]["fingerprint"]
    assert moved.id == run_id("gastric", "2_train", asked, fingerprint) != old_run.id
    assert moved.id.startswith("transunet-tiny-hybrid-64-s1-")
    assert moved.evaluated
    assert moved.record["migrated_from"] == old_run.id
    assert not old_run.folder.exists()
    noted = json.loads((tmp_path / "reports" / "sweeps" / "final.json").read_text())
    assert noted == {"title": "Final", "run_ids": ["other", moved.id]}
    assert not any(one.needed for one in migrate.plan())


def test_what_cannot_be_brought_along_is_left_and_said(old_run):
    record = old_run.record
    del record["parameters"]["warmup"]
    (old_run.folder / "run.json").write_text(json.dumps(record))
    (planned,) = migrate.plan()
    assert planned.problem == "nothing is known of its warmup, which the notebook asks for today"
    assert not planned.needed
    record["parameters"] |= {"warmup": 3, "depth": 4}
    (old_run.folder / "run.json").write_text(json.dumps(record))
    (planned,) = migrate.plan()
    assert "unknown key 'depth'" in planned.problem


def test_a_run_that_is_there_already_is_not_written_over(old_run):
    (planned,) = migrate.plan()
    (old_run.folder.parent / planned.new_id).mkdir()
    (planned,) = migrate.plan()
    assert planned.problem == f"there is a run {planned.new_id} already"


def test_checksums_are_noted_of_tables_that_are_whole(old_run):
    moved = migrate.migrate(migrate.plan()[0])
    sums = moved.record["tables"]
    assert sums["cases.csv"]["rows"] == len(moved.cases())
    assert set(sums) >= {"history.csv", "cases.csv", "predictions"}
    record = {key: value for key, value in moved.record.items() if key != "tables"}
    (moved.folder / "run.json").write_text(json.dumps(record))
    (planned,) = migrate.plan()
    assert (planned.needed, planned.reworded, planned.checksums) == (True, False, True)
    assert migrate.migrate(planned).record["tables"] == sums
    (moved.folder / "run.json").write_text(json.dumps(record))
    moved.write_table("cases.csv", moved.cases().iloc[1:])
    assert not migrate.plan()[0].needed, "a table that lost rows gets no checksum"
