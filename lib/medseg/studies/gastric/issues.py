"""The issue list of the gastric study: a CSV that says which pictures are to be dropped, and which may stay.

Columns: ``file`` (a case id, a path or a file name), ``action`` (``drop`` or ``keep``; empty or absent means drop) and
``issue`` (a remark), in any order; others are passed over.
"""

from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets import lists
from medseg.errors import MedsegError

ACTIONS = ("drop", "keep")


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
        return parse(path.read_bytes(), project.display(path))
    except OSError as error:
        raise MedsegError(f"{project.display(path)} cannot be read: {error.strerror or error}.") from error


def parse(data: bytes, where: str) -> list[Issue]:
    """Read the bytes of an issue list, in UTF-8 or EUC-KR; ``where`` is its name for messages.

    Raises:
        MedsegError: another encoding, no CSV, no column ``file``, a line without file, or an unknown action.
    """
    issues: dict[str, Issue] = {}
    for number, cells in lists.parse(data, ("file",), where, optional=("action", "issue"), aliases={"case_id": "file"}):
        file, action = cells["file"], cells["action"].casefold() or "drop"
        if not file:
            raise MedsegError(f"{where}, row {number}: no file is named.")
        if action not in ACTIONS:
            raise MedsegError(f"{where}, row {number}: the action is {action[:40]!r}; expected drop or keep.")
        if file in issues and issues[file].action != action:
            raise MedsegError(f"{where}, row {number}: {file[:80]!r} is to be kept and to be dropped. Decide.")
        issues[file] = Issue(file, action, cells["issue"])
    return list(issues.values())
