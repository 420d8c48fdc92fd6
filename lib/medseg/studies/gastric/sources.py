"""What lies in a source of the gastric study: the public layout, or another one."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from medseg.datasets import dicom
from medseg.datasets.folders import BadFile, checked_pattern, subfolders
from medseg.errors import MedsegError
from medseg.names import loose
from medseg.studies.gastric import labels, layout, own_layouts
from medseg.studies.gastric.found import Found, Mapper
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.layout import Case

EXPECTED = f"{layout.EXPECTED}; or {own_layouts.EXPECTED}"
MOST_CLASSES = 64


def find(source: Path, classes: Sequence[str], groups: str, run_all: Mapper) -> Found:
    """Find what lies in ``source``, in the public layout where there is a folder ``DICOM``.

    ``classes`` are their names, empty for those of the source; ``groups`` as in :mod:`own_layouts`, for other layouts
    only. Raises MedsegError: one of the two is wrong, the source is in no known layout, or cannot be listed.
    """
    names, pattern = checked_classes(classes), checked_pattern(groups)
    frames_of = partial(run_all, _frames)
    if not subfolders(source, "dicom"):
        return own_layouts.find(source, names, pattern, frames_of, run_all)
    if pattern:
        raise MedsegError(f"groups is {groups!r}, but in the public layout a folder is a patient. Leave it empty.")
    names = names or labels.CLASSES
    cases, problems = layout.discover(source, frames_of)
    unlabelled = "image without label: no usable JSON of this patient and name"
    read = partial(_lesion, phases=len(names))
    return Found(layout.EXPECTED, cases, names, read, problems, unlabelled=unlabelled, single=True)


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


def _lesion(case: Case, size: tuple[int, int], phases: int) -> Lesion:
    return labels.read(case.label or case.image, phases)
