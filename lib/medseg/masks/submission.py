"""Submissions: masks as run-length codes in a CSV file ``image_name,class,rle``, one row per picture and class.

A code reads row by row with starts from 1 (see :mod:`medseg.masks.rle`). An empty mask is an empty text and keeps its
row: a picture without the structure is an answer as well. Names are whole, with their extension. Every field is text:
an image called ``NA`` is no missing value.
"""

import csv
import io
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from medseg import project
from medseg.atomic import replacing_file
from medseg.errors import MedsegError
from medseg.names import listed

HEADER = ("image_name", "class", "rle")
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One mask: name of the picture's file, name of the class, run-length code."""

    image_name: str
    class_name: str
    rle: str


def write(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write rows of image name, class and code, one by one; ``path`` appears when all of them are written.

    Raises MedsegError: an empty name, a name with a line break, a mask that is there twice, a code that is no text (a
    missing value is not an empty mask), or a place that cannot be written; ``path`` is as it was.
    """
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER)
        lines.writerows(_checked(rows, path))


def read(path: Path) -> Iterator[Row]:
    """The rows of a file one after the other, in its order; whether the codes are sound shows when they are decoded.

    Raises MedsegError: no such file, another header, a row of other than three fields, an empty name, a name that is
    not UTF-8, or a mask that is there twice; the message names file and line.
    """
    with Submission(path) as submission:
        yield from map(submission.row, submission.places)


class Submission(AbstractContextManager["Submission"]):
    """A submission whose masks are read on demand, in whatever order; use it as a context. No code is kept in memory.

    ``places`` has for each mask, by names of image and class and in the order of the file, its line (from 1) and the
    byte where it begins.
    """

    def __init__(self, path: Path) -> None:
        """Read the names of all rows; raises what :func:`read` does."""
        self.path = path
        self.places: dict[tuple[str, str], tuple[int, int]] = {}
        self._file = _opened(path)
        try:
            place = self._file.tell()
            for number, line in enumerate(self._file, 2):
                if not line.isspace():
                    image_name, class_name, _ = _parse(line, path, number)
                    names = sys.intern(image_name), sys.intern(class_name)
                    first, _ = self.places.setdefault(names, (number, place))
                    if first != number:
                        raise MedsegError(
                            f"{project.display(path)}, line {number}: found {names[1]} of {names[0]} again, which line "
                            f"{first} holds. Expected each class of a picture once. Remove one of the two."
                        )
                place += len(line)
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def row(self, names: tuple[str, str]) -> Row:
        """The mask of an image and a class."""
        number, place = self.places[names]
        self._file.seek(place)
        return _parse(self._file.readline(), self.path, number)


def check_same_masks(submissions: Sequence[Submission]) -> None:
    """Raise a :class:`MedsegError` that names a file and the masks it lacks where files hold different ones."""
    for one, other in itertools.permutations(submissions, 2):
        if absent := [f"{names[1]} of {names[0]}" for names in other.places if names not in one.places]:
            raise MedsegError(
                f"{project.display(one.path)} has no row for {listed(absent)}; {project.display(other.path)} has. "
                "Expected the same pictures and classes in every submission, with an empty code for an empty "
                "mask. Predict the missing ones, or leave the file out. (The folds of a cross-validation hold "
                "different pictures: 'medseg predict RUN --all-folds' averages their networks on new ones.)"
            )


def _opened(path: Path) -> io.BufferedReader:
    """The file, read up to its first row."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise MedsegError(
            f"Could not read the submission {project.display(path)}: {error.strerror or error}. "
            "Give the path of a CSV file that 3_evaluate or an ensemble wrote."
        ) from error
    header = file.readline().removeprefix(_BOM)
    found = header.decode("utf-8", "replace").strip()
    if tuple(field.strip('"') for field in found.split(",")) != HEADER:
        file.close()
        raise MedsegError(
            f"{project.display(path)}, line 1: found the header {found[:80]!r}, expected {','.join(HEADER)!r}. "
            "Give a submission, not another table."
        )
    return file


def _parse(line: bytes, path: Path, number: int) -> Row:
    # Not the csv module: it gives up on fields above a limit of 128 kB, and a code holds no comma.
    names, _, rle = line.rpartition(b",")
    try:
        image_name, class_name = _names(names.decode("utf-8"))
        code = rle.strip().strip(b'"').decode("ascii")
    except (ValueError, csv.Error):  # UnicodeDecodeError is a ValueError
        shown = line[:80].decode("utf-8", "replace").strip()
        raise MedsegError(
            f"{project.display(path)}, line {number}: found {shown!r}, expected three fields {', '.join(HEADER)} in "
            "UTF-8 with an image name, a class and a run-length code, which is empty for an empty mask. "
            "Fix the line or write the file again."
        ) from None
    return Row(image_name, class_name, code)


def _names(text: str) -> tuple[str, str]:
    fields = text.split(",") if '"' not in text else next(csv.reader([text], strict=True))
    if len(fields) != 2 or not all(fields):
        raise ValueError(f"expected two names, got {fields}")
    return fields[0], fields[1]


def _checked(rows: Iterable[tuple[str, str, str]], path: Path) -> Iterator[tuple[str, str, str]]:
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, 1):
        image_name, class_name, _ = row
        if not all(isinstance(field, str) for field in row):
            problem = f"found {row!r:.200}, expected three texts; an empty mask is an empty text, not a missing value"
        elif not (image_name and class_name) or any(mark in image_name + class_name for mark in "\r\n"):
            problem = f"found the image name {image_name!r} and the class {class_name!r}, expected names on one line"
        elif (image_name, class_name) in seen:
            problem = f"found {class_name} of {image_name} a second time, expected each class of a picture once"
        else:
            seen.add((image_name, class_name))
            yield row
            continue
        raise MedsegError(f"Could not write {project.display(path)}, row {number}: {problem}.")
