"""What lies in a source of the gastric study: its cases, its classes, and how the label of a case is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from medseg.datasets import dicom
from medseg.datasets.folders import BadFile, Problem
from medseg.errors import MedsegError
from medseg.names import loose
from medseg.studies.gastric import labels, layout
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.layout import Case

EXPECTED = layout.EXPECTED
MOST_CLASSES = 64

Mapper = Callable[[Callable, Sequence], Iterator]


@dataclass(frozen=True)
class Found:
    """What lies in a source, in the ``layout`` that it is in, in words.

    ``lesion_of`` reads the label of a case, for a picture of (width, height), and raises BadFile; ``single`` says that
    a picture has one class, ``guessed`` that nothing tells which pictures are of one patient.
    """

    layout: str
    cases: list[Case]
    classes: tuple[str, ...]
    lesion_of: Callable[[Case, tuple[int, int]], Lesion]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    single: bool = False
    guessed: bool = False


def find(source: Path, classes: tuple[str, ...], run_all: Mapper) -> Found:
    """Find what lies in ``source``; ``classes`` as :func:`checked_classes` gives them, ``run_all`` a map over files.

    Raises MedsegError: it is in no known layout, or cannot be listed.
    """
    classes = classes or labels.CLASSES
    cases, problems = layout.discover(source, partial(run_all, _frames))
    lesion_of = partial(_published_lesion, phases=len(classes))
    return Found(layout.EXPECTED, cases, classes, lesion_of, problems, single=True)


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of classes without blanks around them, and without a background that is named first.

    Raises MedsegError: one is empty, two are the same, or there are too many.
    """
    names = [str(name).strip() for name in classes]
    if names and loose(names[0]) == "background":
        names = names[1:]
    same = len({loose(name) for name in names}) < len(names)
    if same or not all(map(loose, names)) or len(names) > MOST_CLASSES:
        raise MedsegError(
            f"classes is {names}; expected up to {MOST_CLASSES} names that differ by more than case, '-', '_' and "
            "blanks, in the order of their numbers, without the background; or nothing."
        )
    return tuple(names)


def _frames(image: Path) -> int:
    try:
        return dicom.count_frames(image)
    except BadFile:
        return 1  # the pass that follows says why


def _published_lesion(case: Case, size: tuple[int, int], phases: int) -> Lesion:
    if case.label is None:
        raise BadFile("image without label: no usable JSON of this patient and name")
    return labels.read(case.label, phases)
