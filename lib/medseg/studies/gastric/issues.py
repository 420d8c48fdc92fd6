"""A list of pictures of the gastric study that are to be dropped, and of those that may stay: a CSV of two forms.

- A line an action: ``file`` (a case id, a path or a file name), ``action`` (``drop`` or ``keep``; empty or absent means
  drop) and ``issue`` (a remark).
- A line an issue, as the published tool writes it: ``dataset type``, ``patient``, ``image``, ``assignee``, ``issue``. A
  picture with an issue is dropped, whatever it is; one without stays. The first and the fourth may be absent.

Columns are in any order and case, and others are passed over.
"""

from dataclasses import dataclass

from medseg.datasets.texts import parse_list
from medseg.errors import MedsegError


@dataclass(frozen=True)
class Issue:
    """What a list says of one picture: its name there, ``drop`` or ``keep``, and why."""

    file: str
    action: str
    issue: str


def parse_issues(data: bytes, where: str) -> list[Issue]:
    """Read the bytes of an issue list, in UTF-8 or EUC-KR; ``where`` is its name for messages.

    Raises MedsegError: another encoding, no CSV, the columns of neither form, a line without file or image, or an
    unknown action.
    """
    try:
        lines = parse_list(data, ("file",), where, optional=("action", "issue"), aliases={"case_id": "file"})
        read = _actions
    except MedsegError as neither:
        try:
            lines, read = parse_list(data, ("patient", "image", "issue"), where), _published
        except MedsegError as error:
            text = str(neither).rstrip(".")
            raise MedsegError(f"{text}; or patient,image,issue, as published.") from error
    return read(lines, where)


def _actions(lines: list[tuple[int, dict[str, str]]], where: str) -> list[Issue]:
    issues: dict[str, Issue] = {}
    for number, cells in lines:
        file, action = cells["file"], cells["action"].casefold() or "drop"
        if not file:
            raise MedsegError(f"{where}, row {number}: no file is named.")
        if action not in ("drop", "keep"):
            raise MedsegError(f"{where}, row {number}: the action is {action[:40]!r}; expected drop or keep.")
        if file in issues and issues[file].action != action:
            raise MedsegError(f"{where}, row {number}: {file[:80]!r} is to be kept and to be dropped. Decide.")
        issues[file] = Issue(file, action, cells["issue"])
    return list(issues.values())


def _published(lines: list[tuple[int, dict[str, str]]], where: str) -> list[Issue]:
    found: dict[str, list[str]] = {}
    for number, cells in lines:
        image = cells["image"].replace("\\", "/").rpartition("/")[2]
        if not image:
            raise MedsegError(f"{where}, row {number}: no image is named.")
        file = f"{cells['patient']}/{image}" if cells["patient"] else image
        said = found.setdefault(file, [])
        if cells["issue"] and cells["issue"] not in said:
            said.append(cells["issue"])
    return [Issue(file, "drop" if said else "keep", "; ".join(said)) for file, said in found.items()]
