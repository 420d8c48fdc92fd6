"""Commands about finished runs: report, evaluate, view; and score, for what others predicted."""

from pathlib import Path
from typing import Annotated, Any

import typer

from medseg import project, registry
from medseg.datasets import sample as samples
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import runs

app = typer.Typer()
_STUDIES = ", ".join(registry.names())


@app.command(epilog="Example: [bold]medseg report polyp[/]")
def report(
    study: Annotated[str, typer.Argument(help=f"{_STUDIES}; without it, every study that has runs")] = "",
    name: Annotated[str, typer.Option("--sweep", help="only the runs of this started sweep")] = "",
    folder: Annotated[Path | None, typer.Option("--runs", help="runs kept elsewhere, such as docs/results")] = None,
    document: Annotated[list[Path] | None, typer.Option("--fill", help="Markdown whose marked tables to renew")] = None,
    files: Annotated[bool, typer.Option("--files", help="also tables as CSV, LaTeX and charts as SVG, PDF")] = False,
) -> None:
    """Build the report of a study over all its finished runs, and the index of all reports."""
    from medseg.reporting import build, documents, pages
    from medseg.reporting.comparison import compare

    if folder:
        place = folder.expanduser().absolute()
        if not any(place.glob("*/*/run.json")):
            raise MedsegError(f"There is no run in {folder}: expected STUDY/RUN/run.json there.")
        with project.reporting_on(place):
            report(study, name, None, document, files)
        return
    if document and not study:
        raise MedsegError("The tables of a document are those of one study: name it.")
    for file in document or ():
        documents.fill(file.expanduser().absolute(), compare(runs.all_runs(study)))
        terminal.console.print(project.display(file), highlight=False)
    refused = []
    for one in [study] if study else sorted({run.folder.parent.name for run in runs.all_runs()}):
        try:
            terminal.console.print(project.display(build.study_report(one, name, files=files)), highlight=False)
        except MedsegError as error:  # one study does not stop the others
            refused.append(str(error))
    terminal.console.print(project.display(pages.write_index()), highlight=False)
    if refused:
        raise MedsegError("\n".join(refused))


@app.command(epilog="Example: [bold]medseg keep polyp --sweep polyp-real_cpu --out docs/results[/]")
def keep(
    study: Annotated[str, typer.Argument(help=f"{_STUDIES}")],
    out: Annotated[Path, typer.Option(help="folder to keep them in")],
    sweep: Annotated[str, typer.Option(help="only the runs of this started sweep")] = "",
) -> None:
    """Copy what was measured of finished runs: tables and records, without pictures, predictions and networks.

    [bold]medseg report --runs FOLDER[/] builds their report on any machine.
    """
    from medseg.experiments import keeping
    from medseg.experiments.sweep import read_record

    wanted = read_record(sweep)["run_ids"] if sweep else None
    found = [run for run in runs.all_runs(study) if wanted is None or run.id in wanted]
    done = [run for run in found if run.evaluated]
    for run in done:
        copy = keeping.keep(run, out.expanduser().absolute())
        terminal.console.print(f"{project.display(copy.folder)}", highlight=False, soft_wrap=True)
    left = len(wanted or found) - len(done)
    terminal.console.print(f"{len(done)} runs kept" + (f", {left} left out: not finished and scored" if left else ""))
    if not done:
        raise MedsegError(f"No finished run of {sweep or study} to keep. 'medseg runs {study}' lists what there is.")


@app.command(epilog="Example: [bold]medseg evaluate latest --study polyp --data data/other[/]")
def evaluate(
    run: Annotated[str, typer.Argument(help="run id, its end, its folder, or latest")],
    data: Annotated[str, typer.Option(help="prepared dataset; the run's own if not given")] = "",
    checkpoint: Annotated[str, typer.Option(help="best, last if kept, a file; in Keras 3 best_iou or latest")] = "",
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


@app.command(epilog="Example: [bold]medseg view latest --study polyp[/]")
def view(
    run: Annotated[str, typer.Argument(help="run id, its end, its folder, or latest")],
    study: Annotated[str, typer.Option(help=f"of the run, where its id alone does not say: {_STUDIES}")] = "",
) -> None:
    """Write one offline page to look through all test cases of a run, with truth, prediction and difference."""
    from medseg.reporting import view as pages_of_cases

    page = pages_of_cases.write(runs.find_run(study, run))
    terminal.console.print(f"open {project.display(page)}", highlight=False, soft_wrap=True)


@app.command("score", epilog="Example: [bold]medseg score ~/maps/PraNet --data data/polyp --as PraNet[/]")
def score_brought(
    source: Annotated[Path, typer.Argument(help="folder of maps or masks, CSV of run lengths, or COCO file")],
    data: Annotated[str, typer.Option(help="prepared dataset whose test pictures they answer")],
    name: Annotated[str, typer.Option("--as", help="what the method is called in tables")],
    threshold: Annotated[float, typer.Option(help="a pixel is of a class where its map is above")] = 0.5,
    stretch: Annotated[bool, typer.Option(help="bring every map to 0..1 first, as PraNet's evaluation does")] = False,
    partial: Annotated[bool, typer.Option(help="score the cases that there are; it is then not compared")] = False,
    fold: Annotated[int, typer.Option(help="test fold of the data; -1: as prepared")] = -1,
) -> None:
    """Score what another method predicted, and keep it as a run that stands beside ours in tables and statistics."""
    from medseg.evaluation import brought
    from medseg.metrics.overlap import summarise
    from medseg.reporting import small_tables

    options: dict[str, Any] = {"threshold": threshold, "stretch": stretch, "incomplete": partial, "fold": fold}
    run, cases = brought.score(source.expanduser().absolute(), samples.load(data), name, **options)
    print(small_tables.scores(summarise(cases)))
    terminal.console.print(f"{run.id}: {brought.summary(run)}", highlight=False, soft_wrap=True)
