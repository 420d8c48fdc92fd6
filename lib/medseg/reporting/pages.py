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
from medseg.reporting import html
from medseg.reporting.comparison import readable
from medseg.reporting.tables import Cell, Column, Row, Table, number

_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


def write_index(reports: Path | None = None) -> Path:
    """Write ``index.html`` into the folder of reports (None: the project's) and return its path.

    It links the reports found there (``*.html``, ``prepared/STUDY/*.html``), lists the sweeps (``sweeps/*.json``) and
    every run of the project with status, mean Dice and executed notebooks. A record that cannot be read is listed as
    such.
    """
    reports = reports or project.reports_folder()
    target = reports / "index.html"
    runs = {study: list(group) for study, group in groupby(all_runs(), key=lambda run: run.folder.parent.name)}
    sweeps = _sweeps(reports)
    named = {sweep["report"] for sweep in sweeps}
    pages = {path.name: _title(path) for path in sorted(reports.glob("*.html")) if path != target}
    prepared = {
        path.relative_to(reports).as_posix(): _title(path) for path in sorted(reports.glob("prepared/*/*.html"))
    }
    studies = {name: title for name, title in pages.items() if Path(name).stem in runs}
    others = {name: title for name, title in pages.items() if name not in studies and name not in named}
    sections = [
        ("Studies", _links(studies)),
        ("Sweeps", _sweep_table(sweeps, pages, runs)),
        ("Prepared data", _links(prepared)),
        ("Other reports", _links(others)),
        *((f"Runs: {study}", _run_table(reports, members)) for study, members in runs.items()),
    ]
    body, contents = [_introduction(runs)], []
    for title, content in sections:
        if content:
            contents.append(html.Entry(2, re.sub(r"\W+", "-", title.lower()), title))
            body.append(f'<h2 id="{contents[-1].id}">{escape(title)}</h2>\n{content}')
    page = html.page("\n".join(body), title="Segmentation experiments", target=target, contents=contents)
    atomic.write_text(target, page)
    return target


def _introduction(runs: dict[str, list[Run]]) -> str:
    every = [run for members in runs.values() for run in members]
    if not every:
        return '<p class="lede">No run yet. Start with <code>make demo</code>.</p>'
    scored = sum(_evaluated(run) for run in every)
    numbers = f"{len(every)} {'run' if len(every) == 1 else 'runs'}, {scored} of them trained and evaluated."
    return f'<p class="lede">{numbers} Scores are means over the test cases of each test set.</p>'


def _links(pages: dict[str, str]) -> str:
    items = "".join(f'<li><a href="{escape(name)}">{escape(title)}</a></li>' for name, title in pages.items())
    return f'<ul class="links">{items}</ul>' if items else ""


def _sweeps(reports: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((reports / "sweeps").glob("*.json")):
        try:
            record = json.loads(path.read_text("utf-8"))
            found.append({**record, "run_ids": list(record["run_ids"]), "report": str(record["report"])})
        except (OSError, ValueError, KeyError, TypeError):
            found.append({"title": path.name, "study": "", "profile": "unreadable", "run_ids": [], "report": ""})
    return found


def _sweep_table(sweeps: list[dict[str, Any]], pages: dict[str, str], runs: dict[str, list[Run]]) -> str:
    evaluated = {run.id for members in runs.values() for run in members if _evaluated(run)}
    rows = []
    for sweep in sweeps:
        link = sweep["report"] if sweep["report"] in pages else ""
        done = len(evaluated & set(sweep["run_ids"]))
        cells = [
            Cell(str(sweep.get("title")), link=link),
            *(Cell(str(sweep.get(key) or "")) for key in ("study", "profile", "file")),
            Cell(f"{done} of {len(sweep['run_ids'])}", done),
        ]
        rows.append(Row(cells))
    columns = [Column(title, numeric=False) for title in ("Sweep", "Study", "Profile", "File")]
    table = Table("Started sweeps", [*columns, Column("Runs done")], rows)
    return table.fragment().html if rows else ""


def _run_table(reports: Path, runs: list[Run]) -> str:
    scores = [_scores(run) for run in runs]
    test_sets = list(dict.fromkeys(name for found in scores for name in found))
    rows = [
        Row([*_described(reports, run), *(number(found.get(name)) for name in test_sets), *_notebooks(reports, run)])
        for run, found in zip(runs, scores, strict=True)
    ]
    columns = [
        *(Column(title, numeric=False) for title in ("Model", "Status", "Data")),
        *(Column("Dice", name) for name in test_sets),
        *(Column(title, numeric=False) for title in ("Training", "Evaluation")),
    ]
    return Table("Every run", columns, rows).fragment().html


def _described(reports: Path, run: Run) -> list[Cell]:
    """Model, status and data of a run."""
    try:
        record, status = run.record, run.status
    except MedsegError as error:
        return [Cell(run.id), Cell("unreadable", note=str(error)), Cell("")]
    parameters, dataset = record.get("parameters", {}), record.get("dataset", {})
    name = [
        readable(parameters[k]) for k in ("architecture", "backbone") if parameters.get(k) not in (None, "", "none")
    ]
    last_words = (str(record.get("error") or "").strip().splitlines() or [""])[-1]
    return [
        Cell(" ".join(name) or run.id, note=run.id),
        Cell("evaluated" if _evaluated(run) else status, note=last_words),
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


def _scores(run: Run) -> dict[str, float]:
    """Mean Dice per test set; nothing where the run was not scored or its table cannot be read."""
    try:
        return dict(summarise(run.cases())[["test_set", "mean_dice"]].itertuples(index=False)) if run.evaluated else {}
    except (MedsegError, ValueError, KeyError):
        return {}


def _evaluated(run: Run) -> bool:
    try:
        return run.evaluated
    except MedsegError:
        return False


def _title(path: Path) -> str:
    found = _TITLE.search(path.read_text("utf-8", errors="replace")[:4000])
    return unescape(found.group(1)).strip() if found else path.stem
