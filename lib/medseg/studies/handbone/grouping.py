"""Which pictures are of one patient, in layouts that do not say so by themselves."""

import re
from collections.abc import Iterable
from pathlib import Path

import pydicom

from medseg.datasets.folders import BadFile
from medseg.studies.handbone.layout import Case

Key = tuple[str, str]  # folder of a picture below the source, and its name without extension

_LEAST_FOLDERS = 3  # of pictures, to be taken for the patients'


class Grouping:
    """Which patient a picture is of; the ``note`` says how that is known, ``guessed`` that it is not."""

    def __init__(self, pictures: dict[Key, Path], pattern: str) -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._folders = len({folder for folder, _ in pictures}) >= _LEAST_FOLDERS
        dicom = bool(pictures) and all(path.suffix.casefold() == ".dcm" for path in pictures.values())
        self._ids: dict[Path, str] = {}
        self.guessed = False
        if self._pattern:
            self.note = f"Patients are what {pattern} finds in the names of the pictures."
        elif self._folders:
            self.note = "Each folder of pictures is a patient."
        elif dicom and (ids := _patient_ids(pictures.values())):
            self._ids = ids
            self.note = "Patients are those that the DICOM files name; here they are numbered, the ids are not kept."
        else:
            self.guessed = True
            self.note = (
                "Nothing says which pictures are of one patient, so every picture stands for itself: those of one "
                "patient may lie in two folds, and scores may flatter. The parameter groups says it, or a folder for "
                "each patient."
            )

    def case(self, key: Key, image: Path, label: Path) -> Case:
        """The case of a picture; BadFile where the pattern finds nothing in its name."""
        folder, name = key
        patient = folder.replace("/", "-") if self._folders else ""
        group = patient or self._ids.get(image, name)
        if self._pattern:
            match = self._pattern.search(name)
            if not match or not match[1]:
                raise BadFile(f"the pattern of groups, {self._pattern.pattern}, finds nothing in its name", image)
            group = match[1]
        elif not patient and folder:
            name = f"{folder.replace('/', '-')}-{name}"
            group = self._ids.get(image, name)
        side = re.search(r"_([RL])$", key[1], re.IGNORECASE)
        return Case(patient, group, name, image, label, side[1].upper() if side else "")


def _patient_ids(files: Iterable[Path]) -> dict[Path, str]:
    """A number for each patient that the files name; {} where one names none."""
    found: dict[Path, str] = {}
    for path in files:
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"], force=True)
        except Exception:  # a damaged file is refused where its picture is read
            continue
        found[path] = str(header.get("PatientID") or "").strip()
    if not all(found.values()):
        return {}
    numbers = {name: f"patient-{number:03d}" for number, name in enumerate(dict.fromkeys(found.values()), 1)}
    return {path: numbers[name] for path, name in found.items()}
