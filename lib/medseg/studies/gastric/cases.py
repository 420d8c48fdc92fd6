"""The cases of the gastric study on their way through: from one picture to all its files and table rows."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from medseg.datasets.folders import BadFile, relative
from medseg.datasets.index import DatasetDraft
from medseg.datasets.shapes import AnnotatedImage, PixelMask
from medseg.names import listed
from medseg.studies.gastric import outputs, reading
from medseg.studies.gastric import overlay as overlays
from medseg.studies.gastric.corrections import Correction
from medseg.studies.gastric.found import Found
from medseg.studies.gastric.layout import Case
from medseg.studies.gastric.outputs import Recipe
from medseg.studies.gastric.overlay import Overlay

_LOOKED_AT = 12  # frames of one size that are looked at to find the endoscope's window
_KEPT = 64  # decoded frames kept from there for the one pass that follows
_MOST_WORKERS = 8
_BESIDE = ("original", "mask", "roi", "roi_by_phase", "inspector")  # columns of files that are written on demand

Mapper = Callable[[Callable, Sequence], Iterator]
Read = TypeVar("Read")


@dataclass
class Job:
    """What the workers share, and what they bring back."""

    draft: DatasetDraft
    source: Path
    recipe: Recipe
    found: Found
    corrected: Mapping[str, Correction] = field(default_factory=dict)
    overlay_of: dict[tuple[int, int], Overlay] = field(default_factory=dict)
    published: bool = False
    decoded: dict[str, reading.Picture] = field(default_factory=dict)
    sizes: Counter = field(default_factory=Counter)
    labels: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[AnnotatedImage] = field(default_factory=list)
    of_frames: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def relative(self, path: Path | None) -> str:
        """As it stands in the tables."""
        return relative(path, self.source) if path else ""

    def overlay_on(self, size: tuple[int, int]) -> Overlay:
        """What to take out of pictures of ``size`` (width, height)."""
        if size not in self.overlay_of:
            self.overlay_of[size] = overlays.published(size) if self.published else Overlay()
        return self.overlay_of[size]

    def reject(self, case: Case, file: str, reason: str) -> None:
        """Note a picture that is left out; frames of one file for the same reason are one row, see :meth:`finish`."""
        if case.frame is None:
            self.draft.reject(file, reason)
        else:
            self.of_frames.setdefault((file, reason), []).append(case.name)

    def finish(self) -> None:
        """Enter what was left out of sequences, a row for each file and reason."""
        for (file, reason), names in self.of_frames.items():
            self.draft.reject(file, f"{reason} ({len(names)} frame(s): {listed(names, 3)})")

    def run(self, case: Case) -> dict[str, Any] | tuple[str, str]:
        """Make and write all files of one case; the facts for the tables, or the file at fault and the reason."""
        at_fault = case.image
        try:
            correction = self.corrected.get(case.case_id)
            if correction is None and case.label is None:
                raise BadFile(self.found.unlabelled)
            read = self.decoded.pop(case.case_id, None) or reading.read(case)
            size = read.pixels.shape[1::-1]
            self.recipe.check(size)
            at_fault = case.label or case.image
            if correction:
                lesion = correction.lesion_for(size, self.recipe.classes, self.found.single)
            else:
                lesion = self.found.lesion_of(case, size)
            made = outputs.make(
                case.case_id, read.pixels, lesion, self.overlay_on(size), self.recipe, corrected=correction is not None
            )
        except BadFile as error:
            whose = f": {case.case_id}" if self.found.shared and at_fault == case.label and case.frame is None else ""
            return self.relative(at_fault) + whose, error.reason
        except Exception as error:  # whatever one file does, the others are still read
            return self.relative(at_fault), f"unexpected {type(error).__name__}: {error}"
        for name, data in made.files.items():  # a disk that refuses ends the whole preparation
            self.draft.write_file(name, data)
        made.files.clear()
        return {"made": made, "size": size, "read": read, "lesion": lesion}

    def forget(self, dropped: set[str]) -> None:
        """Take cases out of the tables, and what was written besides for them off the disk."""
        kept = [row["case_id"] not in dropped for row in self.files]
        gone = [row for row in self.files if row["case_id"] in dropped]
        for file in (row[name] for row in gone for name in _BESIDE if row[name]):
            (self.draft.folder / file).unlink()
        self.files = list(itertools.compress(self.files, kept))
        self.labels = list(itertools.compress(self.labels, kept))
        self.annotations = list(itertools.compress(self.annotations, kept))

    def note(self, case: Case, result: dict[str, Any] | tuple[str, str]) -> None:
        """Enter one result into the tables; called in the order of the cases."""
        if isinstance(result, tuple):
            self.reject(case, *result)
            return
        made, lesion, read = result["made"], result["lesion"], result["read"]
        corrected = case.case_id in self.corrected
        for text in read.notes:
            self.draft.remark(text, self.relative(case.image))
        common = {"case_id": case.case_id, "image": made.places["image"], "label": made.places["label"]}
        source_label = "" if corrected else self.relative(case.label)
        sources = {"source_image": self.relative(case.image), "source_label": source_label}
        self.draft.rows.append(
            common | {"group": case.patient, "split": "train", "fold": -1, "test_set": ""} | made.facts | sources
        )
        masks = sum(isinstance(shape, PixelMask) for shape in lesion.shapes)
        self.labels.append(
            {"case_id": case.case_id, "patient": case.patient, "phase": made.facts["phase"]}
            | {"polygons": len(lesion.shapes) - masks, "masks": masks, **made.region}
            | {"encoding": lesion.encoding, "corrected": int(corrected)}
        )
        width, height = result["size"]
        self.files.append(
            common
            | {name: made.places.get(name, "") for name in _BESIDE}
            | {"frame_width": width, "frame_height": height, **sources}
            | {"transfer_syntax": read.transfer_syntax, "photometric": read.photometric}
        )
        self.annotations.append(made.annotation)
        self.sizes[result["size"]] += 1


def labelled(job: Job, cases: list[Case]) -> list[Case]:
    """The cases without the frames that nobody labelled, of which most sequences have many; those are left out."""
    kept = []
    for case in cases:
        if case.frame is None or case.label is not None or case.case_id in job.corrected:
            kept.append(case)
        else:
            job.reject(case, job.relative(case.image), "frames without label")
    return kept


@contextmanager
def pool(workers: int) -> Iterator[Mapper]:
    """A ``map`` over threads that keeps the order: decoding and encoding release the interpreter."""
    workers = workers or min(os.cpu_count() or 1, _MOST_WORKERS)
    with ThreadPoolExecutor(workers) as threads:
        try:
            yield threads.map
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def find_overlays(job: Job, cases: list[Case], mode: str, run_all: Mapper) -> None:
    """Settle what is blanked for each size of picture; ``detect`` looks at a few frames of each, kept for later."""
    if mode != "detect":
        job.published = mode == "published"
        return
    by_size: dict[tuple[int, int], list[Case]] = {}
    for case, size in zip(cases, run_all(partial(_or_none, reading.read_size), cases), strict=True):
        if size:
            by_size.setdefault(size, []).append(case)
    for size, members in by_size.items():
        step = max(len(members) // _LOOKED_AT, 1)
        # Spread over all patients, then on until one can be read: a text must not stay because a few files are bad.
        spread = members[::step][:_LOOKED_AT]
        rest = [case for case in members if case not in spread]
        pictures = []
        for batch in (spread, *([case] for case in rest)):
            for case, read in zip(batch, run_all(partial(_or_none, reading.read), batch), strict=True):
                if read is not None and read.pixels.shape[1::-1] == size:
                    pictures.append(read.pixels)
                    if len(job.decoded) < _KEPT:
                        job.decoded[case.case_id] = read
            if pictures:
                job.overlay_of[size] = overlays.detect(pictures)
                break


def _or_none(read: Callable[[Case], Read], case: Case) -> Read | None:
    try:
        return read(case)
    except BadFile:
        return None  # the pass that follows says why
