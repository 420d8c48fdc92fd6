"""A whole prediction, from runs and a path to a folder and what a person is told of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.names import listed
from medseg.prediction import dicom_seg, models, sources
from medseg.prediction.folder import REJECTED, Folder
from medseg.prediction.models import Loaded
from medseg.prediction.outputs import PROBABILITIES


class Options(NamedTuple):
    """What is written besides masks and the table; ``probabilities`` one of :data:`PROBABILITIES`."""

    probabilities: str = "none"
    overlays: bool = True
    dicom_seg: bool = False


def predict(runs: Sequence[Run] | Path, pictures: Path, out: Path, device: str, options: Options) -> list[str]:
    """Predict ``pictures`` (see :func:`medseg.prediction.sources.find`) into ``out``; gives what to tell a person.

    ``runs`` may be the file of an exported network.

    Raises:
        MedsegError: nothing to predict, a folder that holds something else, runs that cannot be used or averaged, an
            extra that is not installed, or nothing could be predicted.
    """
    found = _checked(pictures, out, options)
    loaded = models.of_file(runs, device) if isinstance(runs, Path) else models.of_runs(runs, device)
    return predict_with(loaded, found, out, options)


def predict_with(loaded: Loaded, found: Sequence[sources.Source], out: Path, options: Options) -> list[str]:
    """As :func:`predict`, with a model that is loaded."""
    folder = Folder(
        out,
        loaded.model,
        loaded.read,
        loaded.made_by,
        probabilities=options.probabilities,
        overlays=options.overlays,
        likeness=loaded.likeness,
    )
    with terminal.console.status("predicting") as status:
        line = Progress(None)

        def show(done: int, total: int, text: str) -> None:
            status.update(f"{done} of {total} files, {text}")
            line.update(done, total, text)

        summary = folder.predict(found, show)
    notes = [*loaded.notes, *summary.notes]
    if loaded.model.kind.name == "overlapping" and (note := folder.write_submission(found)):
        notes.append(note)
    if options.dicom_seg:
        notes += dicom_seg.write(folder, found)
    own, unchecked = (getattr(loaded.model, name, None) for name in ("own", "unchecked"))
    if own:
        notes.append(
            f"{len(own)} of them belong to the data that the networks were trained on ({listed(own)}): each is "
            "predicted only by the network whose fold held it out"
        )
    if unchecked:
        notes.append(f"not checked whether they are of the data that the networks were trained on: {unchecked}")
    if summary.rejected and not summary.predicted and not summary.before:
        first, reason = summary.rejected[0]
        raise MedsegError(f"Nothing could be predicted. {first}: {reason} (all of them: {out / REJECTED})")
    networks = len(loaded.made_by.get("runs", ()))
    said = f"{project.display(out)}: {summary.predicted} pictures predicted"
    said += f" by the mean of {networks} networks" if networks > 1 else ""
    said += f", {summary.before} were there before" if summary.before else ""
    said += f", {len(summary.rejected)} rejected ({REJECTED})" if summary.rejected else ""
    return [said, *notes]


def _checked(pictures: Path, out: Path, options: Options) -> list[sources.Source]:
    """What there is to predict; everything that can be known before is refused here."""
    if options.probabilities not in PROBABILITIES:
        raise MedsegError(f"probabilities is {options.probabilities!r}, expected one of {', '.join(PROBABILITIES)}.")
    if out.exists() and not out.is_dir():
        raise MedsegError(f"{project.display(out)} is a file; --out names a folder.")
    if out.suffix.casefold() == ".csv":
        raise MedsegError(
            f"--out names a folder, which holds a table and masks, not the file {out.name}; a submission is written "
            "into it as submission.csv."
        )
    if pictures.is_dir() and out.resolve().is_relative_to(pictures.resolve()):
        raise MedsegError(
            f"{project.display(out)} lies in the folder of the pictures, so that its overlays would be predicted too. "
            "Choose a folder apart."
        )
    if options.dicom_seg:
        dicom_seg.require()
    return sources.find(pictures)
