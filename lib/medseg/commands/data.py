"""Commands for data and what a notebook can be asked: sample, prepare, params."""

from pathlib import Path
from typing import Annotated

import typer

from medseg import project, registry
from medseg.datasets import index
from medseg.datasets import sample as samples
from medseg.experiments import console as terminal

app = typer.Typer()
_STUDIES = ", ".join(registry.names())


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
    study: Annotated[str, typer.Argument(help=_STUDIES)],
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


@app.command("params", epilog="Example: [bold]medseg params polyp/2_train_torch[/]")
def list_params(
    notebook: Annotated[str, typer.Argument(help="STUDY/NAME or a path; a study alone: its notebooks")] = "",
) -> None:
    """Show what a notebook can be asked: its parameters with types, choices, defaults and meanings."""
    from medseg.experiments import parameter_list

    terminal.console.print(parameter_list.describe(notebook), highlight=False, markup=False, soft_wrap=True)
