"""The small sweeps of every study on sample data: one queue over all of them, with the reports made meanwhile."""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import typer

from medseg import project, registry
from medseg.commands import training
from medseg.datasets import sample
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import sweep as sweeps
from medseg.experiments.job import Outcome

app = typer.Typer()


@app.command(epilog="Example: [bold]medseg demo[/]")
def demo() -> None:
    """Run the small sweeps of every study on the sample data and build their reports; minutes on a CPU."""
    files = [(one.name, name) for one in registry.every() for name in one.demo]
    # In processes: drawing holds Python's lock too often for threads. Polyps take longest and begin.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(sample.ensure, sorted({study for study, _ in files}, reverse=True)))
    planned = [
        sweeps.load(project.root() / "notebooks" / study / "sweeps" / f"{name}.yaml", "sample") for study, name in files
    ]
    # The study with most runs first: its report takes longest, and is made while the others run.
    runs = Counter(sweep.study for sweep in planned for _ in sweep.planned)
    planned.sort(key=lambda sweep: -runs[sweep.study])
    for one in planned:
        terminal.show_plan(one)
    with Reports(planned) as reports:
        outcomes = training.run(planned, reports.on_end)
    terminal.show_summary(outcomes)
    if all(outcome.outcome == "skipped" for outcome in outcomes):
        terminal.console.print("Everything is already done.")
    terminal.console.print(f"Open {project.reports_folder() / 'index.html'}", highlight=False, soft_wrap=True)
    if any(outcome.outcome not in ("done", "skipped") for outcome in outcomes):
        raise typer.Exit(1)


class Reports:
    """Builds the report of each study once its last run has ended, beside the queue.

    Leaving the ``with`` waits for them; a report that failed raises its error then.
    """

    def __init__(self, planned: Sequence[sweeps.Sweep]) -> None:
        self._left: dict[str, set[Path]] = {}
        for sweep in planned:
            self._left.setdefault(sweep.study, set()).update(run.run.folder for run in sweep.planned)
        self._changed, self._scored = set[str](), set[str]()
        self._pool, self._made = ThreadPoolExecutor(1, thread_name_prefix="report"), list[Future[Path]]()

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, where: object) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            faults = [str(made.exception()) for made in self._made if isinstance(made.exception(), MedsegError)]
            if faults:
                raise MedsegError("\n".join(faults))
            for made in self._made:
                made.result()

    def on_end(self, outcome: Outcome) -> None:
        """A run has ended: it may have been the last of its study."""
        study = outcome.job.study
        self._left[study].discard(outcome.job.folder)
        if outcome.outcome != "skipped":
            self._changed.add(study)
        if outcome.outcome in ("done", "skipped"):
            self._scored.add(study)
        if not self._left[study] and study in self._scored:
            from medseg.reporting import build

            only_if_new = study not in self._changed
            self._made.append(self._pool.submit(build.study_report, study, only_if_new=only_if_new))
