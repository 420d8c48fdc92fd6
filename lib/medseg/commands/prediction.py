"""Commands that use trained networks on new pictures: predict, ensemble."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medseg import registry
from medseg.datasets import sample as samples
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import runs

app = typer.Typer()
_STUDIES = ", ".join(registry.names())


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
