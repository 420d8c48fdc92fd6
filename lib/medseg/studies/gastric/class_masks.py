"""Masks whose values are the numbers of classes: grey or with a palette, 0 for none; and the names of the classes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from medseg import project
from medseg.datasets import images
from medseg.datasets.folders import BadFile, entries
from medseg.datasets.images import ReadMask
from medseg.datasets.shapes import Geometry, PixelMask
from medseg.datasets.texts import utf8_or_korean
from medseg.errors import MedsegError
from medseg.names import listed, loose
from medseg.studies.gastric import reading
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.layout import Case

_FILES = ("classes.txt", "labels.txt")
_MOST = 64  # classes that are numbered where nobody names them
_WHITE = 255


def named_in(folders: Sequence[Path]) -> tuple[str, ...]:
    """Names from a ``classes.txt`` or ``labels.txt``, a line a class, the first one number 1; () where there is none.

    A background on the first line is number 0, and labelme's ``__ignore__`` before it none. Raises MedsegError: the
    file cannot be read, or names a class twice.
    """
    for path in [entry for folder in folders for entry in entries(folder) if entry.name.casefold() in _FILES]:
        try:
            lines = [line.strip() for line in utf8_or_korean(path.read_bytes())[0].splitlines()]
        except (OSError, UnicodeError) as error:
            raise MedsegError(f"{project.display(path)} cannot be read: {error}. Save it as UTF-8.") from error
        names = [line for line in lines if line and loose(line) != "ignore"]
        names = names[1:] if names and loose(names[0]) == "background" else names
        if len({loose(name) for name in names}) < len(names):
            raise MedsegError(f"{project.display(path)} names a class twice: {listed(names)}. Give each its own name.")
        return tuple(names)
    return ()


def values(path: Path) -> list[int]:
    """The values of a mask but 0, ascending; [] where it cannot be used."""
    try:
        return [value for value in np.unique(_read(path).values).tolist() if value]
    except BadFile:
        return []  # the pass that follows says why


def numbered(found: Sequence[Sequence[int]], source: Path) -> tuple[str, ...]:
    """Names of the classes that masks hold, ``class-1`` and so on; ``found`` are the values of each.

    Raises MedsegError: they are too many to be classes.
    """
    present = {value for of_mask in found for value in of_mask}
    if present <= {_WHITE}:
        return ("class-1",) if present else ()
    if max(present) > _MOST:
        raise MedsegError(
            f"{project.display(source)}: the masks hold {listed(sorted(present))}; expected numbers of classes from 1 "
            f"to {_MOST}. Name the classes in classes or in a classes.txt."
        )
    return tuple(f"class-{number}" for number in range(1, max(present) + 1))


def reader(names: Sequence[str]) -> Callable[[Case, tuple[int, int]], Lesion]:
    """Reads the mask of a case as regions of the classes ``names``, for a picture of (width, height).

    White alone is the one class of a mask. Raises BadFile: no mask of classes, another size, another orientation tag
    than the picture's, or a value that is no class.
    """

    def read(case: Case, size: tuple[int, int]) -> Lesion:
        path = case.label or case.image
        mask = _read(path).values
        if mask.shape[::-1] != size:
            raise BadFile(f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its image {size[0]} x {size[1]}")
        tags = (1 if reading.is_dicom(case) else images.orientation(case.image)), images.orientation(path)
        if tags[0] != tags[1]:
            raise BadFile(
                f"the orientation tag (EXIF) of the image is {tags[0]}, that of its mask {tags[1]} (1: none): how they "
                "lie on one another cannot be known. Save both without the tag, turned alike"
            )
        present = [value for value in np.unique(mask).tolist() if value]
        if present == [_WHITE] and len(names) == 1:
            mask, present = (mask > 0).astype(np.uint8), [1]
        if present and present[-1] > len(names):
            raise BadFile(f"the mask holds {listed(present)}; expected 0 to {len(names)}, for {listed(names)}")
        return Lesion.of([(value, _region(mask == value)) for value in present])

    return read


def _region(where: np.ndarray) -> Geometry:
    left, top, width, height = cv2.boundingRect(where.view(np.uint8))
    return PixelMask(left, top, where[top : top + height, left : left + width].astype(np.uint8))


def _read(path: Path) -> ReadMask:
    mask = images.read_mask(path)
    if mask.kind == "colour" or not mask.exact:
        what = "in colours" if mask.kind == "colour" else "a JPEG, whose compression changes values"
        raise BadFile(f"the mask is {what}; expected a PNG whose values are numbers of classes, grey or with a palette")
    return mask
