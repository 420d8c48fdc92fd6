"""The issue list of the gastric study: a CSV that says which pictures are to be dropped, and which may stay.

Columns: ``file`` (a case id, a path or a file name), ``action`` (``drop`` or ``keep``; empty or absent means drop) and
``issue`` (a remark), in any order; others are passed over.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.errors import MedsegError

ACTIONS = ("drop", "keep")
_NAMES = ("file", "case_id")


@dataclass(frozen=True)
class Issue:
    """One line of the list."""

    file: str
    action: str
    issue: str


def read(path: Path) -> list[Issue]:
    """Read an issue list; see :func:`parse`.

    Raises:
        MedsegError: it cannot be read, or as :func:`parse`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MedsegError(f"{project.display(path)} cannot be read: {error.strerror or error}.") from error
    return parse(data, project.display(path))


def parse(data: bytes, where: str) -> list[Issue]:
    """Read the bytes of an issue list, in UTF-8 or EUC-KR; ``where`` is its name for messages.

    Raises:
        MedsegError: another encoding, no CSV, no column ``file``, a line without file, or an unknown action.
    """
    text = _decoded(data, where)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise MedsegError(f"{where} is not a valid CSV file: {error}.") from error
    if not rows:
        raise MedsegError(f"{where} is empty; expected the columns file, action and issue.")
    header = [name.strip().casefold() for name in rows[0]]
    column = next((header.index(name) for name in _NAMES if name in header), None)
    if column is None:
        raise MedsegError(f"{where} has the columns {', '.join(header)[:200]}; expected file, action and issue.")
    issues: dict[str, Issue] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
        file = row[column].strip() if column < len(row) else ""
        action = cells.get("action", "").casefold() or "drop"
        if not file:
            raise MedsegError(f"{where}, row {number}: no file is named.")
        if action not in ACTIONS:
            raise MedsegError(f"{where}, row {number}: the action is {action[:40]!r}; expected drop or keep.")
        if file in issues and issues[file].action != action:
            raise MedsegError(f"{where}, row {number}: {file[:80]!r} is to be kept and to be dropped. Decide.")
        issues[file] = Issue(file, action, cells.get("issue", ""))
    return list(issues.values())


def _decoded(data: bytes, where: str) -> str:
    for codec in ("utf-8-sig", "cp949"):  # the latter is EUC-KR and what Windows adds to it
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    raise MedsegError(f"{where} is neither in UTF-8 nor in EUC-KR. Save it again as 'CSV UTF-8'.")
