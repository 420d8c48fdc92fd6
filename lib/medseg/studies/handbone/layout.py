"""The public layout of the hand-bone set: which picture belongs to which label, which patient, and which hand."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.folders import Problem, files_by_patient, natural_key, subfolders
from medseg.studies.handbone.patient_table import patient_key

EXPECTED = "'DCM/PATIENT/NAME.png' and 'outputs_json/PATIENT/NAME.json', as such or inside a folder 'train'"
_TREES = {"dcm": ".png", "outputs_json": ".json"}
SIDE_RULE = (
    "by the ending _R or _L of the name; else, of a patient's two pictures in the order of their names, the first is "
    "the right hand and the second the left, or the other one than its partner's ending says; else not known"
)


@dataclass(frozen=True)
class Case:
    """A picture and its label, by their name.

    ``group`` is the patient, the same where two folders name one patient differently (``ID001``, ``ID1``); ``side`` is
    ``R``, ``L`` or "", by :data:`SIDE_RULE`.
    """

    patient: str
    group: str
    name: str
    image: Path
    label: Path
    side: str

    @property
    def case_id(self) -> str:
        """``PATIENT-NAME``, or the name alone."""
        return f"{self.patient}-{self.name}" if self.patient else self.name


def roots(source: Path) -> list[Path]:
    """Folders that hold the two trees: ``source``, its folder ``train``, or both; [] where neither does."""
    candidates = [source, *subfolders(source, "train")]
    return [folder for folder in candidates if all(subfolders(folder, name) for name in _TREES)]


def discover(folders: Sequence[Path]) -> tuple[list[Case], list[Problem]]:
    """Pair the pictures and labels of the :func:`roots` by patient and name.

    Gives the cases in natural order, and what else lies there with the reason why it is not read.
    """
    problems: list[Problem] = []
    images, labels = (
        files_by_patient([tree for root in folders for tree in subfolders(root, name)], suffix, EXPECTED, problems)
        for name, suffix in _TREES.items()
    )
    for have, lack, what in (
        (images, labels, "image without label: no JSON"), (labels, images, "label without image: no PNG"),
    ):  # fmt: skip
        problems += [(have[key], f"{what} of this patient and name") for key in have if key not in lack]
    keys = sorted(images, key=lambda key: (*map(natural_key, key), key))
    sides = _sides(keys)
    group_of: dict[str, str] = {}
    cases: dict[str, Case] = {}
    for key in keys:
        group = group_of.setdefault(patient_key(key[0]), key[0])
        if key not in labels:
            continue
        case = Case(key[0], group, key[1], images[key], labels[key], sides[key])
        twin = cases.setdefault(case.case_id, case)
        if twin is not case:
            problems.append((case.image, f"would be called {case.case_id}, as is {twin.patient}/{twin.image.name}"))
    return list(cases.values()), problems


def _sides(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Side of each picture; ``keys`` in natural order. Pictures without a label count as a patient's, too."""
    of_patient: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in keys:
        of_patient[patient_key(key[0])].append(key)
    sides: dict[tuple[str, str], str] = {}
    for pictures in of_patient.values():
        endings = [re.search(r"_([RL])$", name, re.IGNORECASE) for _, name in pictures]
        known = [ending[1].upper() if ending else "" for ending in endings]
        if len(known) == 2 and not all(known):
            other = {"R": "L", "L": "R"}
            first = known[0] or other.get(known[1], "R")
            known = [first, other[first]]
        sides.update(zip(pictures, known, strict=True))
    return sides
