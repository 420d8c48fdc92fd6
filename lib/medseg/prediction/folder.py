"""Predict pictures one after the other into a folder: what is done stays done, one bad file never stops the rest."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from medseg import atomic, project
from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.rules import See, Segmentation
from medseg.masks import rle, submission
from medseg.names import listed
from medseg.prediction import video
from medseg.prediction.likeness import Likeness
from medseg.prediction.outputs import COLUMNS, Outputs
from medseg.prediction.sources import Source
from medseg.prediction.table import PredictionTable, text

TABLE, REJECTED, RECORD = "predictions.csv", "rejected.csv", "prediction.json"


class Model(Protocol):
    """What predicts: :class:`medseg.evaluation.averaging.Average`, or an exported network."""

    kind: kinds.Kind

    def __call__(self, picture: np.ndarray, name: str, see: See | None = None) -> Segmentation: ...


@dataclass
class Summary:
    """How a prediction went; ``rejected`` has name and reason of what could not be predicted."""

    predicted: int = 0
    before: int = 0  # found done when it began
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Folder:
    """The folder in which predictions are collected.

    ``predictions.csv`` has a row for each picture and class, ``rejected.csv`` what could not be predicted, and
    ``prediction.json`` by what everything was made.

    Args:
        model: pictures in, masks out.
        read: of a file and a frame the picture as ``model`` wants it, (H, W) or (H, W, 3) uint8; raises BadFile.
        made_by: runs, rules and whatever else decides what is predicted, as JSON can say it.
        probabilities: one of :data:`medseg.prediction.outputs.PROBABILITIES`.
        likeness: of the pictures trained on; None: they are not at hand.

    Raises:
        MedsegError: the folder holds what was predicted otherwise.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        read: Callable[[Path, int | None], np.ndarray],
        made_by: Mapping[str, Any],
        *,
        probabilities: str = "none",
        overlays: bool = True,
        likeness: Likeness | None = None,
    ) -> None:
        self.path, self._model, self._read, self._likeness = path, model, read, likeness
        self._outputs = Outputs(path, model.kind, probabilities, overlays)
        self._overlays = overlays
        self._made_by = {**made_by, "probabilities": probabilities, "overlays": overlays}
        self._check()
        self._table = PredictionTable(path / TABLE, COLUMNS, len(model.kind.classes))
        self.summary = Summary()

    def predict(
        self, found: Sequence[Source], progress: Callable[[int, int, str], None] = lambda done, total, text: None
    ) -> Summary:
        """Predict what is not predicted yet; raises MedsegError where the disk refuses.

        ``progress`` is told of files done, files in all, and of what is being done in words.
        """
        self._begin()
        for number, source in enumerate(found, 1):
            try:
                if source.is_video:
                    self._predict_video(source, partial(progress, number - 1, len(found)))
                else:
                    for frame in source.frames():
                        name = source.name if frame is None else f"{source.name}/frame-{frame + 1:04d}"
                        progress(number - 1, len(found), name)
                        self._predict(name, partial(self._read, source.path, frame), source.pixel_size, source.file)
            except BadFile as error:
                self.summary.rejected.append((source.file, error.reason))
        progress(len(found), len(found), f"predicted {len(found)} files")
        self._write_rejected()
        return self.summary

    def write_submission(self, found: Sequence[Source]) -> str:
        """Write ``submission.csv`` of all pictures that were predicted; in words why not, where it cannot be."""
        pictures = [source for source in found if not source.is_video and source.name in self._table.done]
        names = [source.path.name for source in pictures]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            return f"no submission.csv: {listed(twice)} is there more than once, and a submission names each once"

        def rows() -> Iterator[tuple[str, str, str]]:
            for source in pictures:
                for class_name, mask in self._model.kind.pieces(self._outputs.mask_of(source.name)):
                    yield source.path.name, class_name, rle.encode(mask)

        submission.write(self.path / "submission.csv", rows())
        return ""

    @property
    def classes(self) -> Sequence[str]:
        return self._model.kind.classes

    def masks_of(self, names: Sequence[str]) -> np.ndarray | None:
        """Masks (pictures, H, W, classes) uint8 of {0, 1} of pictures of one size; None unless all were predicted."""
        if not set(names) <= self._table.done:
            return None
        whole = [self._model.kind.pieces(self._outputs.mask_of(name)) for name in names]
        return np.stack([np.stack([mask.astype(np.uint8) for _, mask in pieces], -1) for pieces in whole])

    def _predict(
        self,
        name: str,
        read: Callable[[], np.ndarray],
        pixel_size: Callable[[], tuple[float, float] | None],
        file: str,
    ) -> None:
        if name in self._table.done:
            self.summary.before += 1
            return
        try:
            picture = read()
            found = self._model(picture, name, self._outputs.see)
        except MedsegError as error:
            shown = file if "/frame-" not in name else f"{file}, {name.rpartition('/')[2]}"
            self.summary.rejected.append((shown, error.reason if isinstance(error, BadFile) else str(error)))
            return
        self._write(name, picture, found, pixel_size())

    def _write(self, name: str, picture: np.ndarray, found: Segmentation, spacing: tuple[float, float] | None) -> None:
        flags = [] if found.mask.any() else ["nothing found"]
        if self._likeness and (unlike := self._likeness.unlike(picture)):
            flags.append(f"unlike the training pictures: {', '.join(unlike)}")
        rows = self._outputs.write(name, picture, found, spacing, flags)
        self._table.add(name, rows)
        self.summary.predicted += 1

    def _predict_video(self, source: Source, progress: Callable[[str], None]) -> None:
        """Every frame of a video; the video with outlines is written anew where some frames were done before."""
        expected, rate = video.length(source.path)
        target = self.path / "overlays" / f"{source.name}.mp4"
        number = 0
        complete = target.is_file() or not self._overlays
        if complete and f"{source.name}/frame-{max(expected, 1):06d}" in self._table.done:
            self.summary.before += max(expected, 1)
            return
        writing: AbstractContextManager[Any] = video.VideoWriter(target, rate) if self._overlays else nullcontext()
        with writing as drawn:
            for number, frame in enumerate(video.frames(source.path), 1):
                name = f"{source.name}/frame-{number:06d}"
                progress(f"{source.name}, frame {number} of {expected or '?'}")
                picture = self._as_wanted(frame)
                self._predict(name, partial(np.asarray, picture), source.pixel_size, source.file)
                if drawn is not None and name in self._table.done:
                    drawn.add(self._outputs.overlay(picture, self._outputs.mask_of(name)))
        if expected - number > 1:  # headers count one more now and then
            self.summary.notes.append(
                f"{source.name} ended after {number} of {expected} frames: the file is cut off, or its header is wrong"
            )

    def _as_wanted(self, frame: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if self._model.kind.grey else frame

    def _check(self) -> None:
        """Refuse a folder that holds what another model, or this one by other rules, predicted."""
        record = self.path / RECORD
        if not record.is_file():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise MedsegError(
                    f"{project.display(self.path)} is not empty and holds no predictions ({RECORD} is missing). Choose "
                    "a new folder for --out."
                )
            return
        try:
            before = json.loads(record.read_text("utf-8"))
        except ValueError:
            before = {}
        if different := [key for key, value in self._made_by.items() if before.get(key) != value]:
            key = different[0]
            raise MedsegError(
                f"{project.display(self.path)} holds predictions with {key} {before.get(key)!r}, now it is "
                f"{self._made_by[key]!r}. Choose another folder for --out, or delete this one."
            )

    def _begin(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        atomic.write_json(self.path / RECORD, self._made_by)
        self._table.begin()

    def _write_rejected(self) -> None:
        file = self.path / REJECTED
        if not self.summary.rejected:
            file.unlink(missing_ok=True)
            return
        rows = [{"file": name, "reason": reason} for name, reason in self.summary.rejected]
        atomic.write_text(file, text(rows, ("file", "reason")))
