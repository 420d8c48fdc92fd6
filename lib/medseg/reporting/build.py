"""Build reports: run a notebook, turn it into a page, keep the index of all pages up to date."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any

from medseg import atomic, project
from medseg.errors import MedsegError
from medseg.experiments import records
from medseg.experiments.job import EVALUATE
from medseg.experiments.notebooks import run_notebook
from medseg.experiments.params import read_schema
from medseg.experiments.runs import Run, all_runs
from medseg.experiments.sweep import read_record
from medseg.reporting import exported, html, pages

PREPARE, RESULTS = "1_preprocess", "4_results"


def prepare(study: str, source: Path, folder: Path, settings: Iterable[str] = ()) -> Path:
    """Prepare a dataset by the notebook that does it; the page shows what was done and rejected, the index links it.

    Args:
        settings: further parameters of the notebook, each as ``NAME=VALUE``.

    Raises:
        MedsegError: no such study, an unknown parameter, a value of the wrong type, or the preparation was refused;
            the message is that of the notebook.
    """
    schema = read_schema(_notebook(study, PREPARE))
    where = f"Parameters of {study}/{PREPARE}"
    parameters = {**schema.read(settings, where), "source": str(source), "out": str(folder)}
    schema.complete(parameters, where)
    title = f"{study.capitalize()}: preparation of {folder.name}"
    target = project.reports_folder() / "prepared" / study / f"{folder.name}.html"
    return _executed(study, PREPARE, parameters, folder / "dataset.json", target, title)


def study_report(study: str, sweep: str = "", *, files: bool = False, only_if_new: bool = False) -> Path:
    """The report over a study's finished runs, or those of one started sweep; index and pages of the runs too.

    Args:
        study: name of the study.
        sweep: name of a started sweep; empty for all runs.
        files: its tables also as CSV and LaTeX, its charts as SVG and PDF, in the folder ``files`` of its notebook.
        only_if_new: leave an existing report as it is where it was made of the runs as they are now. One that a kill
            or a full disk kept from being written is made up for.

    Raises:
        MedsegError: there is no run to compare, or the report could not be made.
    """
    runs, title = _runs_of(study, sweep), f"{study.capitalize()}: all runs"
    if sweep:
        record = read_record(sweep)
        title = f"{study.capitalize()}: {record.get('title', sweep)}"
        title += f" ({record['profile']})" if record.get("profile") else ""
    if not any(run.evaluated for run in runs):
        raise MedsegError(
            f"No finished run of {sweep or study} to report on. 'medseg runs {study}' lists what there is."
        )
    sources, target = _sources(runs), project.reports_folder() / f"{sweep or study}.html"
    if only_if_new and target.is_file() and _was_made_of(target, sources):
        return target
    for run in runs:
        run_pages(run)
    result = target.with_suffix("") / "means.csv"
    with exported.into(target.with_suffix("") / "files") if files else nullcontext():
        _executed(study, RESULTS, {"sweep": sweep, "out": project.display(result)}, result, target, title)
    atomic.write_json(_note(target), sources)
    return target


def _runs_of(study: str, sweep: str) -> list[Run]:
    """The runs of a study, or those of them that belong to a started sweep."""
    chosen = read_record(sweep)["run_ids"] if sweep else ()
    return [run for run in all_runs(study) if not sweep or run.id in chosen]


def _sources(runs: Iterable[Run]) -> dict[str, Any]:
    """In which state runs are, and the checksums of their tables."""
    return {
        run.id: {"status": run.status, "damaged": run.damaged, "tables": records.known(run.folder).get("tables", {})}
        for run in runs
    }


def _note(page: Path) -> Path:
    """The file that says of what a report was made; written last."""
    return page.with_suffix("") / "made_of.json"


def _was_made_of(page: Path, sources: dict[str, Any]) -> bool:
    try:
        return json.loads(_note(page).read_text("utf-8")) == sources
    except (OSError, ValueError):
        return False


def run_pages(run: Run) -> None:
    """Turn a run's executed notebooks into pages beside them, where they are not those of a page.

    Instead of one that cannot be read, as a kill may leave it, the page says so.
    """
    if run.fault:
        return
    stage = run.record.get("stage", "")
    for name, what in ((stage, "training"), (EVALUATE, "evaluation")):
        notebook = run.folder / f"{name}.ipynb"
        page = notebook.with_suffix(".html")
        if notebook.is_file() and not (page.is_file() and page.stat().st_mtime_ns == notebook.stat().st_mtime_ns):
            title, before = f"{run.id}: {what}", notebook.stat()
            try:
                html.read(notebook)
            except MedsegError as error:
                text = f"<p>{escape(str(error))} It is written anew when its stage runs again; no figure is lost.</p>"
                atomic.write_text(page, html.page(text, title=title, target=page, source=notebook.name))
            else:
                html.render(notebook, page, title=title)
            # Its own time, not that of now: a clock that is set back would make an old page the newer one.
            os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))


def _notebook(study: str, stage: str) -> Path:
    notebook = project.root() / "notebooks" / study / f"{stage}.ipynb"
    if not notebook.is_file():
        known = ", ".join(sorted(path.parent.name for path in notebook.parent.parent.glob(f"*/{stage}.ipynb")))
        raise MedsegError(f"There is no study {study!r} with a notebook {stage}. There are: {known}.")
    return notebook


def _executed(study: str, stage: str, parameters: Mapping[str, Any], result: Path, page: Path, title: str) -> Path:
    notebook = _notebook(study, stage)
    executed = page.with_suffix("") / notebook.name
    done = run_notebook(notebook, executed, parameters, result=result)
    if done.outcome != "done":
        raise MedsegError(f"{done.error}\n(log: {project.display(done.log)})")
    html.render(executed, page, title=title)
    pages.write_index()
    return page
