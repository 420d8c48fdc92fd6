"""The command ``medseg``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medseg import project, registry
from medseg.datasets import index
from medseg.datasets import sample as samples
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import engine, migrate, preflight, runs
from medseg.experiments import sweep as sweeps

app = typer.Typer(
    help="Compare segmentation models on medical images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_STUDIES = ", ".join(registry.names())
Study = Annotated[str, typer.Argument(help=_STUDIES)]


@app.command(epilog="Example: [bold]medseg sample polyp[/]")
def sample(study: Annotated[str, typer.Argument(help=f"{_STUDIES}; without it, every study")] = "") -> None:
    """Draw and prepare the built-in sample data."""
    for name in [study] if study else [one.name for one in registry.every() if one.sample]:
        dataset = index.load(samples.ensure(name))
        counts = dataset.info["counts"]
        terminal.console.print(
            f"{project.display(dataset.folder)}: {counts['samples']} samples ({counts['train']} train, "
            f"{counts['validation']} validation, {counts['test']} test), {dataset.info['rejected']} files rejected"
        )


@app.command(epilog="Example: [bold]medseg prepare polyp --source ~/polyps --out data/polyp --set protocol=pranet[/]")
def prepare(
    study: Study,
    source: Annotated[Path, typer.Option(help="folder with the data in its public layout; see data/README.md")],
    out: Annotated[Path | None, typer.Option(help="folder of the prepared dataset; data/STUDY if not given")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="any parameter of the study's notebook 1_preprocess"),
    ] = None,
) -> None:
    """Check, clean and split images in their public layout; files that cannot be used are listed with a reason."""
    from medseg.reporting import build

    folder = Path.cwd() / out if out else project.root() / "data" / study
    page = build.prepare(study, source.expanduser().absolute(), folder, settings or [])
    dataset = index.load(folder)
    counts = dataset.info["counts"]
    terminal.console.print(
        f"{project.display(folder)}: {counts['train']} train, {counts['validation']} validation, "
        + ", ".join(f"{n} test {name}" for name, n in counts["test_sets"].items())
        + f"; {dataset.info['rejected']} files rejected (rejected.csv)\nreport: {project.display(page)}",
        highlight=False,
    )


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
    outcomes = _run(planned, workers, scheduler, timeout)
    terminal.show_summary(outcomes)
    if report and any(p.run.evaluated for p in planned.planned):
        from medseg.reporting import build

        page = build.sweep_report(planned, only_if_new=all(o.outcome == "skipped" for o in outcomes))
        terminal.console.print(f"report: {project.display(page)}", highlight=False)
    if any(outcome.outcome in ("failed", "timeout", "stopped") for outcome in outcomes):
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]medseg report polyp[/]")
def report(
    study: Annotated[str, typer.Argument(help=f"{_STUDIES}; without it, every study that has runs")] = "",
    name: Annotated[str, typer.Option("--sweep", help="only the runs of this started sweep")] = "",
) -> None:
    """Build the report of a study over all its finished runs, and the index of all reports."""
    from medseg.reporting import build, pages

    for one in [study] if study else sorted({run.folder.parent.name for run in runs.all_runs()}):
        terminal.console.print(project.display(build.study_report(one, name)), highlight=False)
    terminal.console.print(project.display(pages.write_index()), highlight=False)


@app.command("runs", epilog="Example: [bold]medseg runs polyp[/]; [bold]medseg runs migrate --dry-run[/]")
def list_runs(
    study: Annotated[str, typer.Argument(help=f"{_STUDIES}, or migrate; without it, every study")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="with migrate: only say what would be done")] = False,
) -> None:
    """List the runs on this machine with their state; [bold]migrate[/] renames those from before parameters were.

    It also notes checksums of the tables of finished runs that have none; rows lost before that are not found any more.
    """
    if study == "migrate":
        _migrate(dry_run)
        return
    found = runs.all_runs(study or None)
    for run in found:
        state = "finished, evaluated" if run.evaluated else run.status
        error = (run.record.get("error") or "").splitlines()
        _print_run(run, state + (f": {error[-1]}" if error else ""))
    if not found:
        terminal.console.print(f"no runs yet in {project.display(project.runs_folder())}; start with 'make demo'")


@app.command(epilog="Example: [bold]medseg evaluate latest --study polyp --data data/other[/]")
def evaluate(
    run: Annotated[str, typer.Argument(help="run id, its end, its folder, or latest")],
    data: Annotated[str, typer.Option(help="prepared dataset; the run's own if not given")] = "",
    checkpoint: Annotated[str, typer.Option(help="best, last, or a file; in Keras 3 best_iou or latest too")] = "",
    every_split: Annotated[bool, typer.Option("--all", help="all pictures of other data, not its test split")] = False,
    study: Annotated[str, typer.Option(help=f"of the run, where its id alone does not say: {_STUDIES}")] = "",
) -> None:
    """Score a checkpoint of a run on any prepared dataset of its classes; the run's own scores stay as they are."""
    from medseg.evaluation import elsewhere
    from medseg.metrics.overlap import summarise
    from medseg.reporting import small_tables

    found = runs.find_run(study, run)
    folder, cases = elsewhere.score(
        found, samples.load(data or found.record["dataset"]["path"]), checkpoint=checkpoint, every_split=every_split
    )
    print(small_tables.scores(summarise(cases)))
    terminal.console.print(f"cases: {project.display(folder / 'cases.csv')}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: [bold]medseg tensorboard[/]")
def tensorboard(port: Annotated[int, typer.Option(help="where it listens, on this machine")] = 6006) -> None:
    """Show the curves of all runs that were trained with [bold]logger: [tensorboard][/] in a browser."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(project.runs_folder()), "--port", str(port)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command("params", epilog="Example: [bold]medseg params polyp/2_train_torch[/]")
def list_params(
    notebook: Annotated[str, typer.Argument(help="STUDY/NAME or a path; a study alone: its notebooks")] = "",
) -> None:
    """Show what a notebook can be asked: its parameters with types, choices, defaults and meanings."""
    from medseg.experiments import parameter_list

    terminal.console.print(parameter_list.describe(notebook), highlight=False, markup=False, soft_wrap=True)


def _migrate(dry_run: bool) -> None:
    planned = migrate.plan()
    for one in planned:
        if one.problem:
            _print_run(one.run, f"left as it is: {one.problem}")
        elif one.needed:
            words = [f"{'would become' if dry_run else 'is now'} {one.new_id}"] if one.reworded else []
            words += [f"{'would get' if dry_run else 'has'} checksums of its tables"] if one.checksums else []
            _print_run(one.run, ", ".join(words))
            if not dry_run:
                migrate.migrate(one)
    needed = sum(one.needed for one in planned)
    terminal.console.print(
        f"{needed} of {len(planned)} runs {'would be' if dry_run else 'were'} changed"
        + ("" if dry_run or not needed else "; build their reports again with 'medseg report'")
    )


def _print_run(run: runs.Run, text: str) -> None:
    line = f"{run.folder.parent.name}/{run.id}  {text}"
    terminal.console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command(epilog="Example: [bold]medseg predict latest --pictures ~/hands/test --out submission.csv[/]")
def predict(
    run: Annotated[list[str], typer.Argument(help="run id, its end, its folder, or latest; several are averaged")],
    pictures: Annotated[Path, typer.Option(help="folder of PNG files, subfolders included; no truth is needed")],
    out: Annotated[Path, typer.Option(help="CSV to write: image_name,class,rle")],
    study: Annotated[str, typer.Option(help=f"of the run: {_STUDIES}")] = "handbone",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    all_folds: Annotated[bool, typer.Option("--all-folds", help="average the run and its other folds")] = False,
) -> None:
    """Predict new pictures with a trained run, as a submission; masks are made by the run's own rules.

    Several runs, or all folds of one, are averaged: the mean of their probabilities. A picture of the data that the
    folds were trained on is predicted by the network alone that did not see it.
    """
    from medseg.evaluation import averaging, common, submission

    found = [runs.find_run(study, wanted) for wanted in run]
    if all_folds:
        found = [fold for one in found for fold in averaging.all_folds(one)]
    found = list({one.id: one for one in found}.values())
    predictors = [common.load_predictor(one, device) for one in found]
    said = submission.predict_folder(found, predictors, pictures.absolute(), out)
    terminal.console.print(f"{out}: {said}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: [bold]medseg ensemble a.csv b.csv c.csv --out all.csv --data data/handbone[/]")
def ensemble(
    files: Annotated[list[Path], typer.Argument(help="submissions, such as predictions/fold-0.csv of several runs")],
    out: Annotated[Path, typer.Option(help="submission to write")],
    rule: Annotated[str, typer.Option(help="majority, weighted, mean or intersection")] = "majority",
    weights: Annotated[
        Path | None, typer.Option(help="JSON list: for each file a number, or an object with one for each class")
    ] = None,
    threshold: Annotated[float, typer.Option(help="of mean: share of the weights that has to be exceeded")] = 0.5,
    data: Annotated[str, typer.Option(help="prepared dataset to score it on, with its test fold")] = "",
    fold: Annotated[int, typer.Option(help="test fold of --data")] = 0,
    height: Annotated[int, typer.Option(help="of the pictures, pixels")] = 2048,
    width: Annotated[int, typer.Option(help="of the pictures, pixels")] = 2048,
) -> None:
    """Combine submissions of the study handbone into one: the models vote on every pixel.

    The folds of a cross-validation hold different pictures and have nothing to vote on; average their networks on new
    pictures with [bold]medseg predict RUN --all-folds[/].
    """
    from medseg.datasets import splits
    from medseg.evaluation import submission
    from medseg.masks.ensemble import combine

    try:
        given = json.loads(weights.read_text("utf-8")) if weights else None
    except (OSError, ValueError) as error:
        raise MedsegError(f"{weights} cannot be read as a JSON list of weights ({error}).") from error
    combine(files, out, rule, given, (height, width), threshold)
    terminal.console.print(f"{out}: {rule} of {len(files)}", highlight=False)
    if data:
        dataset = splits.hold_out(samples.load(data), fold)
        for file in [*files, out]:
            mean = submission.score(file, dataset)["dice"].mean()
            terminal.console.print(f"average Dice {mean:.4f}  {file}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: [bold]medseg demo[/]")
def demo() -> None:
    """Run the small sweeps of every study on the sample data and build their reports; minutes on a CPU."""
    from medseg.reporting import build

    failed, new, studies = False, 0, set()
    for study, name in [(one.name, name) for one in registry.every() for name in one.demo]:
        planned = sweeps.load(project.root() / "notebooks" / study / "sweeps" / f"{name}.yaml", "sample")
        terminal.show_plan(planned)
        outcomes = _run(planned, None, "", None)
        terminal.show_summary(outcomes)
        fresh = sum(outcome.outcome != "skipped" for outcome in outcomes)
        if any(p.run.evaluated for p in planned.planned):
            build.sweep_report(planned, only_if_new=not fresh)
            studies.add(planned.study)
        failed |= any(outcome.outcome not in ("done", "skipped") for outcome in outcomes)
        new += fresh
    for study in sorted(studies):
        if new or not (project.reports_folder() / f"{study}.html").is_file():
            build.study_report(study)
    if not new:
        terminal.console.print("Everything is already done.")
    terminal.console.print(f"Open {project.reports_folder() / 'index.html'}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _refuse(verdicts: list[preflight.Verdict]) -> None:
    if faults := [verdict.fault for verdict in verdicts if verdict.fault]:
        raise MedsegError("Nothing was started:\n" + "\n".join(f"  - {fault}" for fault in dict.fromkeys(faults)))


def _run(
    planned: sweeps.Sweep, workers: int | None, scheduler: str, timeout_hours: float | None
) -> list[engine.Outcome]:
    """Check, then run what is not finished yet."""
    jobs = planned.planned
    pending = [job for job in jobs if job.run.record.get("status") != "finished"]
    _refuse(preflight.check(pending))
    sweeps.write_record(planned)
    seconds = timeout_hours * 3600 if timeout_hours else None
    stop_file = sweeps.record_file(planned.name).with_suffix(".STOP")
    stop_file.unlink(missing_ok=True)
    with terminal.Bars(len(jobs)) as bars:
        hooks: Any = {"on_start": bars.on_start, "on_end": bars.on_end, "on_tick": bars.on_tick, "timeout": seconds}
        if scheduler:
            return engine.run_on_cluster(jobs, scheduler, stop_file=stop_file, **hooks)
        return engine.run_local(jobs, engine.local_slots(workers), stop_file=stop_file, **hooks)


def main() -> None:
    """Run the command; a fault that the user can fix is printed alone, without a traceback."""
    try:
        app()
    except MedsegError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
