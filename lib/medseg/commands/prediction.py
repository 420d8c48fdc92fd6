"""Commands that use trained networks: predict, export, ensemble."""

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


@app.command(epilog="Example: [bold]medseg predict latest --study polyp --pictures ~/new --out ~/predicted[/]")
def predict(
    run: Annotated[
        list[str],
        typer.Argument(help="run id, its end, its folder, or latest; several are averaged; or a file of export"),
    ],
    pictures: Annotated[Path, typer.Option(help="picture, DICOM file, video, folder of them, or CSV list")],
    out: Annotated[Path, typer.Option(help="folder to write; one that was cut off is gone on with")],
    study: Annotated[str, typer.Option(help=f"of the run, where its id alone does not say: {_STUDIES}")] = "",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    all_folds: Annotated[bool, typer.Option("--all-folds", help="average the run and its other folds")] = False,
    probabilities: Annotated[str, typer.Option(help="none, png (16 bits) or npz")] = "none",
    overlays: Annotated[bool, typer.Option(help="pictures with outlines")] = True,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="also DICOM-SEG of DICOM files (extra dicom-seg)")
    ] = False,
) -> None:
    """Predict new pictures with trained runs: masks, overlays, a table; by the rules by which the runs were scored.

    Several runs, or all folds of one, are averaged: the mean of their probabilities. A picture of the data that the
    folds were trained on is predicted by the network alone that did not see it.
    """
    from medseg.evaluation import averaging
    from medseg.prediction import command, exported

    model: list[runs.Run] | Path
    if files := [wanted for wanted in run if wanted.casefold().endswith(exported.ENDINGS)]:
        if len(run) > 1 or all_folds:
            raise MedsegError(f"{files[0]} is an exported network, which predicts alone. Leave the rest out.")
        model = Path(files[0]).expanduser().absolute()
    else:
        found = [runs.find_run(study, wanted) for wanted in run]
        if all_folds:
            found = [fold for one in found for fold in averaging.all_folds(one)]
        model = list({one.id: one for one in found}.values())
    options = command.Options(probabilities, overlays, dicom_seg)
    for line in command.predict(model, pictures.expanduser().absolute(), out.expanduser().absolute(), device, options):
        terminal.console.print(line, highlight=False, soft_wrap=True)


@app.command(epilog="Example: [bold]medseg export latest --study polyp --out polyp.onnx[/]")
def export(
    run: Annotated[str, typer.Argument(help="run id, its end, its folder, or latest")],
    out: Annotated[Path, typer.Option(help="file to write; the model card card.md comes beside it")],
    format: Annotated[
        str, typer.Option(help="onnx, torch (.pt2) or keras (.keras); left out: by the ending of --out")
    ] = "",
    study: Annotated[str, typer.Option(help=f"of the run, where its id alone does not say: {_STUDIES}")] = "",
) -> None:
    """Write a trained network as a file: plain pictures in, probabilities out; checked against its framework, timed.

    [bold]medseg predict FILE[/] then predicts without the run; FILE.onnx without PyTorch or TensorFlow (extra onnx).
    """
    from medseg.export import command

    for line in command.export(runs.find_run(study, run), out.expanduser().absolute(), format):
        terminal.console.print(line, highlight=False, soft_wrap=True)


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
