"""The public layout of the gastric set: ``LABELS/*/ENDO/*.json`` and ``DICOM/*/ENDO/*.dcm``, one folder a patient.

Nothing is opened here. A name is the whole file name without its last extension, never cut further.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medseg import project
from medseg.errors import MedsegError
from medseg.studies.polyp.layout import Problem, entries, natural_key

EXPECTED = "'LABELS/PATIENT/ENDO/NAME.json' and 'DICOM/PATIENT/ENDO/NAME.dcm'"

_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".dcm", ".json")


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

    Raises:
        MedsegError: one of the two folders is missing or there twice, or ``source`` cannot be listed.
    """
    problems: list[Problem] = []
    images = _files(_top(source, "DICOM"), ".dcm", problems)
    labels = _files(_top(source, "LABELS"), ".json", problems)
    problems += [
        (path, "label without image: no usable DICOM of this patient and name")
        for key, path in labels.items()
        if key not in images
    ]
    cases = [Case(*key, path, labels.get(key)) for key, path in images.items()]
    return sorted(cases, key=lambda case: (natural_key(case.patient), natural_key(case.name), case.case_id)), problems


class Names:
    """Finds the case that a name in a table or an annotation file stands for."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._exact: dict[str, str] = {}
        self._short: dict[str, set[str]] = {}
        for case in cases:
            self._exact[case.case_id] = case.case_id
            self._short.setdefault(case.name, set()).add(case.case_id)

    def find(self, text: str) -> str | None:
        """Case id for ``PATIENT/NAME``, the path of a file, or a name that only one patient has; else None."""
        path = PurePosixPath(unicodedata.normalize("NFC", text.strip().replace("\\", "/")))
        name = path.name[: -len(path.suffix)] if path.suffix.casefold() in _EXTENSIONS else path.name
        folders = [part for part in path.parts[:-1] if part.casefold() != "endo"]
        if folders:
            return self._exact.get(f"{folders[-1]}/{name}")
        candidates = self._short.get(name, set())
        return next(iter(candidates)) if len(candidates) == 1 else None


def _top(source: Path, name: str) -> Path:
    if not source.is_dir():
        raise MedsegError(
            f"The source folder {project.display(source)} does not exist. Expected {EXPECTED} in it. "
            "data/README.md says where to get them; 'medseg sample' draws data to try things on."
        )
    found = [entry for entry in entries(source) if entry.is_dir() and entry.name.casefold() == name.casefold()]
    if len(found) != 1:
        what = f"holds {' and '.join(entry.name for entry in found)}" if found else f"has no folder {name!r}"
        raise MedsegError(f"The source folder {project.display(source)} {what}. Expected {EXPECTED}.")
    return found[0]


def _files(top: Path, suffix: str, problems: list[Problem]) -> dict[tuple[str, str], Path]:
    """Files by patient and name; what does not belong goes to ``problems``."""
    found: dict[tuple[str, str], list[Path]] = {}
    for patient in entries(top):
        if not patient.is_dir():
            problems.append((patient, f"lies outside the patient folders; expected {EXPECTED}"))
            continue
        try:
            content = [(entry, entry.is_dir()) for entry in entries(patient)]
            endo = [entry for entry, is_folder in content if is_folder and entry.name.casefold() == "endo"]
            problems += [
                (entry, "not in a folder ENDO, the only one that is read") for entry, _ in content if entry not in endo
            ]
            if not content:
                problems.append((patient, "an empty folder; expected one called ENDO in it"))
            for entry in [entry for folder in endo for entry in entries(folder)]:
                if not _is_utf8(entry):
                    problems.append((entry, "its name, or its patient's, is not in UTF-8; rename it"))
                elif entry.is_dir() or entry.suffix.casefold() != suffix:
                    problems.append((entry, f"not a file with the extension {suffix}"))
                else:
                    name = tuple(unicodedata.normalize("NFC", text) for text in (patient.name, entry.stem))
                    found.setdefault(name, []).append(entry)
        except (MedsegError, OSError) as error:
            problems.append((patient, f"the folder cannot be read: {error}"))
    for same in found.values():
        if len(same) > 1:
            names = " and ".join(path.name for path in same)
            problems += [(path, f"{names} have the same name; keep the right one") for path in same]
    return {key: same[0] for key, same in found.items() if len(same) == 1}


def _is_utf8(path: Path) -> bool:
    """False for names from old Korean archives, which no table could hold."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
