"""The public layout of the gastric set: ``LABELS/*/ENDO/*.json`` and ``DICOM/*/ENDO/*.dcm``, one folder a patient.

A DICOM file of several frames is a sequence. Each of its frames is a picture called ``NAME-f0001`` and so on, and has a
label ``NAME-f0001.json``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets.cvat import frame_name
from medseg.datasets.folders import Problem, entries, files_by_patient, natural_key, subfolders
from medseg.errors import MedsegError

EXPECTED = "'LABELS/PATIENT/ENDO/NAME.json' and 'DICOM/PATIENT/ENDO/NAME.dcm'"

#: From files to the number of pictures in each, in order.
Counter = Callable[[Sequence[Path]], Iterable[int]]


@dataclass(frozen=True)
class Case:
    """A picture and its label, if there is one.

    ``patient`` is its group. ``frame`` is its place, from 0, in a DICOM file of several frames, else None. ``alone``
    says that no group is known, so that the picture has its own.
    """

    patient: str
    name: str
    image: Path
    label: Path | None
    frame: int | None = None
    alone: bool = False

    @property
    def case_id(self) -> str:
        """``PATIENT/NAME``, or ``NAME`` where the patient is not known."""
        return self.name if self.alone else f"{self.patient}/{self.name}"


def discover(source: Path, frames_of: Counter) -> tuple[list[Case], list[Problem]]:
    """List the pictures of ``source`` in natural order, and what else lies there with the reason why it is not read.

    Raises MedsegError: one of the two folders is missing or there twice, or ``source`` cannot be listed.
    """
    problems: list[Problem] = []
    images = _files(_top(source, "DICOM"), ".dcm", problems)
    labels = _files(_top(source, "LABELS"), ".json", problems)
    sequences: set[tuple[str, str]] = set()
    cases = []
    for key, frames in zip(images, frames_of(list(images.values())), strict=True):
        if frames == 1:
            cases.append(Case(*key, images[key], labels.get(key)))
            continue
        sequences.add(key)
        cases += [
            Case(key[0], name, images[key], labels.get((key[0], name)), number)
            for number, name in enumerate(frame_name(key[1], number) for number in range(frames))
        ]
    whole = {(case.patient, case.name) for case in cases if case.frame is None}
    twice = "a frame of it would have the name of another DICOM file; rename one"
    problems += [(case.image, twice) for case in cases if case.frame is not None and (case.patient, case.name) in whole]
    cases = [case for case in cases if case.frame is None or (case.patient, case.name) not in whole]
    used = {(case.patient, case.name) for case in cases}
    reason = "label without image: no usable DICOM of this patient and name"
    of_all = "the DICOM of this name has several frames; each has a label of its own, NAME-f0001.json and so on"
    problems += [(path, of_all if key in sequences else reason) for key, path in labels.items() if key not in used]
    return sorted(cases, key=lambda case: (natural_key(case.patient), natural_key(case.name), case.case_id)), problems


def _top(source: Path, name: str) -> Path:
    found = subfolders(source, name.casefold())
    if len(found) != 1:
        what = f"holds {' and '.join(entry.name for entry in found)}" if found else f"has no folder {name!r}"
        raise MedsegError(f"The source folder {project.display(source)} {what}. Expected {EXPECTED}.")
    return found[0]


def _files(top: Path, suffix: str, problems: list[Problem]) -> dict[tuple[str, str], Path]:
    def in_endo(patient: Path) -> list[Path]:
        content = [(entry, entry.is_dir()) for entry in entries(patient)]
        endo = [entry for entry, is_folder in content if is_folder and entry.name.casefold() == "endo"]
        problems.extend(
            (entry, "not in a folder ENDO, the only one that is read") for entry, _ in content if entry not in endo
        )
        if not content:
            problems.append((patient, "an empty folder; expected one called ENDO in it"))
        return [entry for folder in endo for entry in entries(folder)]

    return files_by_patient([top], suffix, EXPECTED, problems, in_endo)
