"""What a sweep shows in the terminal: the plan, live progress, the summary."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from medseg import project
from medseg.experiments import progress as progress_file
from medseg.experiments.identity import IN_SLUG
from medseg.experiments.job import Job, Outcome
from medseg.experiments.remaining import Remaining
from medseg.experiments.sweep import PlannedRun, Sweep

console = Console()
_COLOURS = {"done": "green", "skipped": "dim", "failed": "red", "timeout": "red", "stopped": "yellow"}


def action(planned: PlannedRun) -> str:
    """What the sweep will do about a run."""
    if planned.run.evaluated:
        return "evaluate again, its tables were changed" if planned.run.damaged else "skip, finished"
    return {
        "finished": "evaluate only",
        "interrupted": "resume",
        "failed": "try again",
        "running": "wait, held by another process",
        "unreadable": "none, its run.json cannot be used",
    }.get(planned.run.status, "train")


def show_plan(sweep: Sweep, facts: Sequence[str] = ()) -> None:
    """Print the runs of ``sweep`` and what would be done about each; ``facts`` are what is known of each before.

    As a table where the terminal is wide enough for it, else as a list with some lines for each run.
    """
    rows = []
    for number, planned in enumerate(sweep.planned, 1):
        differs = ", ".join(f"{k} {_readable(v)}" for k, v in planned.varied.items() if k not in IN_SLUG)
        known = [facts[number - 1]] if any(facts) else []
        rows.append([str(number), planned.run.id, differs, action(planned), *known])
    heads = ["", "run", "differs in", "plan", *(["network"] if any(facts) else [])]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    title, terms = f"{sweep.title} ({sweep.study})", f"Every row: {sweep.terms}" if sweep.terms else None
    if sum(widths) + 3 * len(widths) + 1 > console.width:
        _show_list(title, rows, terms)
        return
    table = Table(title=title, title_justify="left", caption=terms, caption_justify="left")
    for head in heads:
        table.add_column(head, no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _show_list(title: str, rows: Sequence[Sequence[str]], terms: str | None) -> None:
    """The plan for a narrow terminal: run and plan, what differs, the network."""
    indent = len(rows[-1][0]) + 2
    console.print(title, style="italic", markup=False, highlight=False)
    for number, run, differs, plan, *known in rows:
        lines = [f"{run}: {plan}", differs, *known]
        for place, line in enumerate(filter(None, lines)):
            first = f"{number:>{indent - 2}}  " if place == 0 else " " * indent
            wrapped = fill(line, console.width, initial_indent=first, subsequent_indent=" " * (indent + 2),
                           break_long_words=False, break_on_hyphens=False)  # fmt: skip
            console.print(wrapped, markup=False, highlight=False, soft_wrap=True, style="" if place == 0 else "dim")
    if terms:
        console.print(terms, style="italic", markup=False, highlight=False)


def _readable(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


class Bars(Progress):
    """Bars while ``total`` runs are computed; the engine calls the methods."""

    def __init__(self, total: int) -> None:
        run, text = TextColumn("{task.fields[run]}", style="bold"), TextColumn("{task.description}", markup=False)
        super().__init__(run, BarColumn(bar_width=24), text, TimeElapsedColumn(), console=console)
        self._jobs: dict[str, tuple[Job, TaskID]] = {}
        self._all, self._remaining = self.add_task("", total=total, run="all runs"), Remaining(total)

    def on_start(self, job: Job) -> None:
        """A slot took the job."""
        self._remaining.begin(job.folder.name)
        task = self.add_task("starting", total=None, run=job.folder.name)
        self._jobs[job.folder.name] = job, task

    def on_end(self, outcome: Outcome) -> None:
        """The job ended: its line moves up and stays."""
        name = outcome.job.folder.name
        if name in self._jobs:
            self.remove_task(self._jobs.pop(name)[1])
        self._remaining.end(name)
        self.advance(self._all)
        minutes = f" in {outcome.seconds / 60:.1f} min" if outcome.seconds else ""
        self.console.print(f"[{_COLOURS[outcome.outcome]}]{outcome.outcome:>8}[/] {name}{minutes}", highlight=False)

    def on_tick(self) -> None:
        """Bring the bars up to what the notebooks wrote."""
        for job, task in list(self._jobs.values()):
            state = progress_file.read(job.folder)
            if state:
                self._remaining.reached(job.folder.name, state["done"] / max(state["total"], 1))
                self.update(task, total=state["total"], completed=state["done"], description=state["text"])
        seconds = self._remaining.seconds()
        self.update(self._all, description="" if seconds is None else f"about {duration(seconds)} left")


def duration(seconds: float) -> str:
    """As a person would say it, such as ``3 h 20 min``; of less than a minute, ``1 min``."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def show_summary(outcomes: list[Outcome]) -> None:
    """Print how many runs ended how, and every failure with its error and log."""
    counts = {kind: sum(o.outcome == kind for o in outcomes) for kind in _COLOURS}
    console.print(", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing to do")
    for outcome in outcomes:
        if outcome.note:
            console.print(f"{outcome.job.folder.name}: {escape(outcome.note)}", highlight=False)
        if outcome.outcome in ("failed", "timeout"):
            console.print(f"\n[red]{outcome.outcome}[/] {outcome.job.folder.name}", highlight=False)
            console.print(escape(outcome.error), highlight=False)
            if outcome.log:
                console.print(f"log: {project.display(outcome.log)}", highlight=False)
