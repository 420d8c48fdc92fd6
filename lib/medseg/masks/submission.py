"""Submissions: masks as run-length codes in a CSV file ``image_name,class,rle``, one row per picture and class.

A code reads row by row with starts from 1 (see :mod:`medseg.masks.rle`). An empty mask is an empty text and keeps its
row: a picture without the structure is an answer as well. Names are whole, with their extension. Every field is text:
an image called ``NA`` is no missing value.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from medseg import project
from medseg.atomic import explained
from medseg.errors import MedsegError

HEADER = ("image_name", "class", "rle")
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One mask: name of the picture's file, name of the class, run-length code."""

    image_name: str
    class_name: str
    rle: str


def write(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write rows of image name, class and code, one by one; ``path`` appears when all of them are written.

    Raises:
        MedsegError: an empty name, a name with a line break, a mask that is there twice, a code that is no text (a
            missing value is not an empty mask), or a place that cannot be written; ``path`` is as it was.
    """
    stream(path, _checked(rows, path))


def stream(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """As :func:`write`, for rows that are known to be sound."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = temporary.open("w", encoding="utf-8", newline="")
        with file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(HEADER)
            for row in rows:  # outside of explained(): making a row may read files
                with explained(path):
                    lines.writerow(row)
            with explained(path):
                file.flush()
        with explained(path):
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> Iterator[Row]:
    """The rows of a file one after the other, in its order; whether the codes are sound shows when they are decoded.

    Raises:
        MedsegError: no such file, another header, a row of other than three fields, an empty name, a name that is not
            UTF-8, or a mask that is there twice; the message names file and line.
    """
    seen: dict[tuple[str, str], int] = {}
    with opened(path) as file:
        for number, line in enumerate(file, 2):
            if line.isspace():
                continue
            row = parse(line, path, number)
            first = seen.setdefault(row[:2], number)
            if first != number:
                raise twice(path, number, row, first)
            yield row


def opened(path: Path) -> io.BufferedReader:
    """The file, read up to its first row.

    Raises:
        MedsegError: no such file, or another header.
    """
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


def parse(line: bytes, path: Path, number: int) -> Row:
    """The row in a line of the file ``path``; ``number`` counts from 1.

    Raises:
        MedsegError: as :func:`read`.
    """
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


def twice(path: Path, number: int, row: tuple[str, ...], first: int) -> MedsegError:
    """The complaint about a mask that an earlier line holds already."""
    return MedsegError(
        f"{project.display(path)}, line {number}: found {row[1]} of {row[0]} again, which line {first} holds. Expected "
        "each class of a picture once. Remove one of the two."
    )


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
