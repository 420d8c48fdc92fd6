"""What was found in a source of the gastric study, whatever its layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from medseg.datasets.folders import Problem
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.layout import Case

#: A map over files that may work on several at a time and keeps the order.
Mapper = Callable[[Callable, Sequence], Iterator]


@dataclass(frozen=True)
class Found:
    """Cases, and the classes in the order of their numbers; ``layout`` says in words how they lie.

    ``lesion_of`` reads the label of a case that has one, for a picture of (width, height), and raises BadFile;
    ``unlabelled`` is said of a case without. ``shared``: a file holds the labels of many pictures. ``single``: a
    picture has one class. ``guessed``: nothing tells which pictures are of one patient.
    """

    layout: str
    cases: list[Case]
    classes: tuple[str, ...]
    lesion_of: Callable[[Case, tuple[int, int]], Lesion]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlabelled: str = "image without label"
    shared: bool = False
    single: bool = False
    guessed: bool = False
