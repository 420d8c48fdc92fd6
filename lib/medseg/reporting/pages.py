"""The front page of all reports: studies, sweeps, and every run with its scores and notebooks."""

import json
import re
from html import escape, unescape
from itertools import groupby
from pathlib import Path
from typing import Any

from medseg import atomic, project
from medseg.errors import MedsegError
from medseg.experiments.runs import Run, all_runs
from medseg.metrics.overlap import summarise
from medseg.reporting import html, preview
from medseg.reporting.comparison import last_words, readable
from medseg.reporting.fragments import Cell, Column, Table, number, numeric, words

_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


def write_index() -> Path:
    """Write ``index.html`` into the folder of reports and return its path.

    It links the reports found there (``*.html``, ``prepared/STUDY/*.html``), lists the sweeps (``sweeps/*.json``) and
    every run of the project with status, mean Dice and executed notebooks. A record that cannot be read is listed as
    such.
    """
    reports = project.reports_folder()
    target = reports / "index.html"
    every = all_runs()
    runs = {study: list(group) for study, group in groupby(every, key=lambda run: run.folder.parent.name)}
    sweeps, evaluated = _sweeps(reports), [run.id for run in every if run.evaluated]
    named = {sweep["report"] for sweep in sweeps}
    pages = {path.name: _title(path) for path in sorted(reports.glob("*.html")) if path != target}
    prepared = {
        path.relative_to(reports).as_posix(): _title(path) for path in sorted(reports.glob("prepared/*/*.html"))
    }
    studies = {name: title for name, title in pages.items() if Path(name).stem in runs}
    of_sweeps = {name: title for name, title in pages.items() if name in named}
    others = {name: title for name, title in pages.items() if name not in studies and name not in named}
    sections = [
        ("Studies", _links(studies, reports)),
        ("Sweeps", _sweep_table(sweeps, pages, evaluated) + _links(of_sweeps, reports)),
        ("Prepared data", _links(prepared)),
        ("Other reports", _links(others, reports)),
        *((f"Runs: {study}", _run_table(reports, members)) for study, members in runs.items()),
    ]
    shown = [(re.sub(r"\W+", "-", title.lower()), title, content) for title, content in sections if content]
    body = [
        _introduction(len(every), len(evaluated)),
        *(f'<h2 id="{id}">{escape(title)}</h2>\n{content}' for id, title, content in shown),
    ]
    contents = [html.Entry(2, id, title) for id, title, _ in shown]
    page = html.page("\n".join(body), title="Segmentation experiments", target=target, contents=contents)
    atomic.write_text(target, page)
    return target


def _introduction(runs: int, evaluated: int) -> str:
    if not runs:
        return '<p class="lede">No run yet. Start with <code>make demo</code>.</p>'
    numbers = f"{runs} {'run' if runs == 1 else 'runs'}, {evaluated} of them trained and evaluated."
    return f'<p class="lede">{numbers} Scores are means over the test cases of each test set.</p>'


def _links(pages: dict[str, str], reports: Path | None = None) -> str:
    """A list of links; with the folder of ``reports`` also what each answers, and its first figure in small."""
    items = "".join(
        f'<li><a href="{escape(name)}">{escape(title)}</a>{preview.of(reports / name) if reports else ""}</li>'
        for name, title in pages.items()
    )
    return f'<ul class="links{" previews" if reports else ""}">{items}</ul>' if items else ""


def _sweeps(reports: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((reports / "sweeps").glob("*.json")):
        try:
            record = json.loads(path.read_text("utf-8"))
            found.append({**record, "run_ids": list(record["run_ids"]), "report": str(record["report"])})
        except (OSError, ValueError, KeyError, TypeError):
            found.append({"title": path.name, "study": "", "profile": "unreadable", "run_ids": [], "report": ""})
    return found


def _sweep_table(sweeps: list[dict[str, Any]], pages: dict[str, str], evaluated: list[str]) -> str:
    rows = []
    for sweep in sweeps:
        link = sweep["report"] if sweep["report"] in pages else ""
        done = len(set(evaluated) & set(sweep["run_ids"]))
        facts = [Cell(str(sweep.get(key) or "")) for key in ("study", "profile", "file")]
        done_of_all = Cell(f"{done} of {len(sweep['run_ids'])}", done)
        rows.append([Cell(str(sweep.get("title")), link=link), *facts, done_of_all])
    columns = words("Sweep", "Study", "Profile", "File") + numeric("Runs done")
    return Table("Started sweeps", columns, rows).fragment().html if rows else ""


def _run_table(reports: Path, runs: list[Run]) -> str:
    scores, faults = zip(*map(_scores, runs), strict=True)
    test_sets = list(dict.fromkeys(name for found in scores for name in found))
    rows = [
        [*_described(run, fault), *(number(found.get(name)) for name in test_sets), *_notebooks(reports, run)]
        for run, found, fault in zip(runs, scores, faults, strict=True)
    ]
    dice = [Column("Dice", name) for name in test_sets]
    columns = [*words("Model", "Status", "Data"), *dice, *words("Training", "Evaluation")]
    return Table("Every run", columns, rows).fragment().html


def _described(run: Run, fault: str) -> list[Cell]:
    """Model, status and data of a run; ``fault`` says why it has no scores."""
    if run.fault:
        return [Cell(run.id), Cell("unreadable", note=run.fault), Cell("")]
    record, status = run.record, "evaluated" if run.evaluated else run.status
    status = "brought, " * ("brought" in record) + status
    parameters, dataset = record.get("parameters", {}), record.get("dataset", {})
    named = [parameters.get(key) for key in ("architecture", "backbone")]
    name = [readable(value) for value in named if value not in (None, "", "none")]
    return [
        Cell(" ".join(name) or run.id, note=run.id),
        Cell(f"{status}, refused" if fault else status, note=fault or last_words(record, "")),
        Cell(str(dataset.get("name") or ""), note=str(dataset.get("fingerprint") or "")[:8]),
    ]


def _notebooks(reports: Path, run: Run) -> list[Cell]:
    """Links to the executed notebooks of the training (``2_*``) and the evaluation (``3_*``)."""
    cells = []
    for stage in "23":
        page = next(iter(sorted(run.folder.glob(f"{stage}_*.html"))), None)
        inside = page is not None and page.is_relative_to(reports)
        cells.append(Cell("open", link=page.relative_to(reports).as_posix()) if page and inside else Cell(""))
    return cells


def _scores(run: Run) -> tuple[dict[str, float], str]:
    """Mean Dice per test set, and what is wrong with its table; nothing where the run was not scored."""
    if not run.evaluated:
        return {}, ""
    try:
        return dict(summarise(run.cases())[["test_set", "mean_dice"]].itertuples(index=False)), ""
    except (MedsegError, ValueError, KeyError) as error:
        return {}, str(error)


def _title(path: Path) -> str:
    found = _TITLE.search(path.read_text("utf-8", errors="replace")[:4000])
    return unescape(found.group(1)).strip() if found else path.stem
