"""Reports that were kept from being written are made up for, whatever the clock says."""

import json
import os
from types import SimpleNamespace

import nbformat
import pytest
from nbformat import v4

from medseg import atomic, project
from medseg.errors import MedsegError
from medseg.experiments import records
from medseg.reporting import build


def write_notebook(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell(text)]), path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run, and reports whose notebook needs no kernel; ``run.made`` counts how often it was executed."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "reports" / "runs"))
    folder = tmp_path / "reports" / "runs" / "toy" / "s1"
    write_notebook(folder / "2_train.ipynb", "first")
    atomic.write_json(folder / records.NAME, {"stage": "2_train", "status": "finished", "tables": {"cases.csv": "a"}})
    run = SimpleNamespace(
        id="s1", folder=folder, status="finished", damaged=False, evaluated=True, fault="",
        record={"stage": "2_train"}, made=0, page=folder / "2_train.html", report=tmp_path / "reports/toy-sweep.html",
    )  # fmt: skip

    def run_notebook(notebook, output, parameters, *, result):
        run.made += 1
        write_notebook(output, f"report {run.made}")
        return SimpleNamespace(outcome="done")

    monkeypatch.setattr(build, "all_runs", lambda study: [run])
    monkeypatch.setattr(build, "read_record", lambda sweep: {"run_ids": ["s1"], "title": "Toy"})
    monkeypatch.setattr(build, "_notebook", lambda study, stage: tmp_path / f"{stage}.ipynb")
    monkeypatch.setattr(build, "run_notebook", run_notebook)
    monkeypatch.setattr(build.pages, "write_index", lambda: None)
    return run


def full_for(monkeypatch, name):
    """Let the disk be full for the file ``name``."""
    write = atomic.write_text

    def written(path, text):
        if path.name == name:
            raise MedsegError("The disk is full.")
        write(path, text)

    monkeypatch.setattr(atomic, "write_text", written)


@pytest.mark.parametrize("name", ["toy-sweep.html", "2_train.html", "made_of.json"])
def test_a_report_that_could_not_be_written_is_made_when_nothing_else_is_new(run, monkeypatch, name):
    build.study_report("toy", "toy-sweep")
    atomic.write_json(run.folder / records.NAME, {**json.loads((run.folder / records.NAME).read_text()), "tables": {}})
    write_notebook(run.folder / "2_train.ipynb", "second")
    with monkeypatch.context() as full, pytest.raises(MedsegError, match="The disk is full"):
        full_for(full, name)
        build.study_report("toy", "toy-sweep")
    assert run.report.is_file()
    before = run.made
    build.study_report("toy", "toy-sweep", only_if_new=True)
    assert run.made == before + 1
    assert f"report {run.made}" in run.report.read_text("utf-8")
    assert "second" in run.page.read_text("utf-8")
    build.study_report("toy", "toy-sweep", only_if_new=True)
    assert run.made == before + 1  # it shows the runs as they are


def test_the_page_of_a_run_is_made_anew_though_the_clock_was_set_back(run):
    build.run_pages(run)
    notebook = run.folder / "2_train.ipynb"
    before = notebook.stat().st_mtime
    write_notebook(notebook, "second")
    os.utime(notebook, (before - 86_400, before - 86_400))
    build.run_pages(run)
    assert "second" in run.page.read_text("utf-8")
    made = run.page.stat().st_ino
    build.run_pages(run)
    assert run.page.stat().st_ino == made
