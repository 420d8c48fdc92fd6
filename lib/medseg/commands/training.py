"""The command that trains; and tensorboard, which shows how it goes."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import engine, preflight, preload, slots
from medseg.experiments import sweep as sweeps

app = typer.Typer()


@app.command(epilog="Example: [bold]medseg sweep notebooks/polyp/sweeps/backbones_torch.yaml --profile sample[/]")
def sweep(
    file: Annotated[Path, typer.Argument(help="sweep file, such as notebooks/polyp/sweeps/parts.yaml")],
    profile: Annotated[str, typer.Option(help="a profile of the file, such as sample")] = "",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="check and show the runs, what they take and what would be skipped, then end"),
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="runs at a time; one per GPU, else two")] = None,
    scheduler: Annotated[str, typer.Option(help="address of a Dask scheduler, such as tcp://host:8786")] = "",
    timeout: Annotated[float | None, typer.Option(help="hours allowed for each notebook")] = None,
    report: Annotated[bool, typer.Option(help="build the report at the end")] = True,
) -> None:
    """Train and evaluate every run of a sweep file; finished runs are skipped, interrupted ones go on."""
    planned = sweeps.load(Path.cwd() / file, profile)
    verdicts = preflight.check(planned.planned) if dry_run else []
    terminal.show_plan(planned, [verdict.facts for verdict in verdicts])
    if dry_run:
        _refuse(verdicts)
        return
    outcomes = run([planned], workers=workers, scheduler=scheduler, timeout_hours=timeout)
    terminal.show_summary(outcomes)
    if report and any(p.run.evaluated for p in planned.planned):
        from medseg.reporting import build

        nothing_new = all(outcome.outcome == "skipped" for outcome in outcomes)
        page = build.study_report(planned.study, planned.name, only_if_new=nothing_new)
        terminal.console.print(f"report: {project.display(page)}", highlight=False)
    if any(outcome.outcome in ("failed", "timeout", "stopped") for outcome in outcomes):
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]medseg tensorboard[/]")
def tensorboard(port: Annotated[int, typer.Option(help="where it listens, on this machine")] = 6006) -> None:
    r"""Show the curves of all runs that were trained with [bold]logger: \[tensorboard][/] in a browser."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(project.runs_folder()), "--port", str(port)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def _refuse(verdicts: list[preflight.Verdict]) -> None:
    if faults := [verdict.fault for verdict in verdicts if verdict.fault]:
        raise MedsegError("Nothing was started:\n" + "\n".join(f"  - {fault}" for fault in dict.fromkeys(faults)))


def run(
    planned: Sequence[sweeps.Sweep],
    on_end: Callable[[engine.Outcome], None] = lambda outcome: None,
    *,
    workers: int | None = None,
    scheduler: str = "",
    timeout_hours: float | None = None,
) -> list[engine.Outcome]:
    """Check all runs of ``planned``, then run in one queue what is not finished yet; progress is shown."""
    jobs = [job for sweep in planned for job in sweep.planned]
    pending = [job for job in jobs if job.run.status != "finished"]
    seconds = timeout_hours * 3600 if timeout_hours else None
    stop_file = sweeps.record_file(planned[0].name).with_suffix(".STOP")
    local = slots.local_slots(workers, len(jobs))
    with preload.Servers() as servers:
        copied = preload.possible(local[0]) and not scheduler
        _refuse(preflight.check(pending, servers.said) if copied else preflight.check(pending))
        for sweep in planned:
            sweeps.write_record(sweep)
        stop_file.unlink(missing_ok=True)
        with terminal.Bars(len(jobs)) as bars:

            def ended(outcome: engine.Outcome) -> None:
                bars.on_end(outcome)
                on_end(outcome)

            hooks: Any = {"on_start": bars.on_start, "on_end": ended, "on_tick": bars.on_tick, "timeout": seconds}
            if scheduler:
                return engine.run_on_cluster(jobs, scheduler, stop_file=stop_file, **hooks)
            return engine.run_local(jobs, local, stop_file=stop_file, servers=servers, **hooks)
