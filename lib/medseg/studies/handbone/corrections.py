"""Known mistakes in the labels of the hand-bone set, such as two bones that were confused, fixed from a list."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets.folders import CaseNames
from medseg.datasets.texts import read_list
from medseg.errors import MedsegError
from medseg.studies.handbone.labels import Annotation, not_a_class
from medseg.studies.handbone.layout import Case

COLUMNS = ("file", "annotation", "old_label", "new_label")


@dataclass
class Correction:
    """One line of the list, and what became of it: whether the label was changed, or the reason why not.

    ``file`` is a label file or picture: ``ID001/image1.json``, or its name alone where one patient has it;
    ``annotation`` a place from 0, or an ``id``. Any other label than ``old_label`` is left as it is.
    """

    file: str
    annotation: str
    old_label: str
    new_label: str
    applied: bool = False
    reason: str = "its file was rejected"


class Corrections:
    """A list of corrections, handed out case by case."""

    def __init__(self, listed: Sequence[Correction], cases: Sequence[Case]) -> None:
        self._listed = listed
        self._of_case: dict[str, list[Correction]] = {}
        names = CaseNames(cases)
        for correction in listed:
            found = names.find(correction.file)
            if len(found) == 1:
                self._of_case.setdefault(found[0], []).append(correction)
            else:
                correction.reason = "several patients have a file of this name" if found else "there is no such file"

    def applied(self, case: Case, annotations: Sequence[Annotation]) -> list[Annotation]:
        """The annotations of a case with its corrections made, in the order of the list."""
        result = list(annotations)
        for correction in self._of_case.get(case.case_id, ()):
            named = [a for a in result if correction.annotation in (a.identifier, str(a.number))]
            fitting = [a for a in named if a.label == correction.old_label]
            if len(fitting) == 1:
                place = result.index(fitting[0])
                result[place] = dataclasses.replace(fitting[0], label=correction.new_label)
                correction.applied, correction.reason = True, ""
            elif fitting:
                correction.reason = "an id and a place are the same, and both have this label"
            else:
                there = " and ".join(repr(a.label) for a in named)
                correction.reason = f"the label there is {there}" if named else "there is no such annotation"
        return result

    def log(self) -> list[dict[str, str | bool]]:
        """Every line of the list and what became of it, for ``dataset.json``."""
        return [dataclasses.asdict(correction) for correction in self._listed]


def read(path: Path, classes: Sequence[str]) -> list[Correction]:
    """Read a CSV file with the columns ``file,annotation,old_label,new_label``.

    Raises MedsegError: it cannot be read, lacks a column or a cell, or gives a new label that is not among ``classes``.
    """
    what = f"The corrections {project.display(path)}"
    corrections = []
    for number, line in read_list(path, COLUMNS, what):
        where = f"Line {number} of the corrections {project.display(path)}"
        if empty := [name for name in COLUMNS if not line[name]]:
            raise MedsegError(f"{where} has no {empty[0]}; expected {','.join(COLUMNS)} in every line.")
        if (new := line["new_label"]) not in classes:
            raise MedsegError(f"{where} has the new label {new!r}, which is {not_a_class(new, classes)}.")
        corrections.append(Correction(line["file"], line["annotation"], line["old_label"], new))
    return corrections
