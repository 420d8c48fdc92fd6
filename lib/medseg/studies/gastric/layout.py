"""The public layout of the gastric set: ``LABELS/*/ENDO/*.json`` and ``DICOM/*/ENDO/*.dcm``, one folder a patient."""

from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets.folders import Problem, entries, files_by_patient, natural_key, subfolders
from medseg.errors import MedsegError

EXPECTED = "'LABELS/PATIENT/ENDO/NAME.json' and 'DICOM/PATIENT/ENDO/NAME.dcm'"


@dataclass(frozen=True)
class Case:
    """A DICOM file and its label, if there is one."""

    patient: str
    name: str
    image: Path
    label: Path | None

    @property
    def case_id(self) -> str:
        """``PATIENT/NAME``."""
        return f"{self.patient}/{self.name}"


def discover(source: Path) -> tuple[list[Case], list[Problem]]:
    """List the pictures of ``source`` in natural order, and what else lies there with the reason why it is not read.

    Raises MedsegError: one of the two folders is missing or there twice, or ``source`` cannot be listed.
    """
    problems: list[Problem] = []
    images = _files(_top(source, "DICOM"), ".dcm", problems)
    labels = _files(_top(source, "LABELS"), ".json", problems)
    reason = "label without image: no usable DICOM of this patient and name"
    problems += [(path, reason) for key, path in labels.items() if key not in images]
    cases = [Case(*key, path, labels.get(key)) for key, path in images.items()]
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
