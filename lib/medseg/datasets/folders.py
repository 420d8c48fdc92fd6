"""Source folders as people hand them out: what lies in them, in natural order, and which files cannot be used.

A name is the whole file name without its last extension, never cut further.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from medseg import project
from medseg.errors import MedsegError

Problem = tuple[Path, str]
"""A file or folder that is left out, and the reason."""

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_EXTENSIONS = (*_PICTURES, ".dcm", ".json")

Key = TypeVar("Key", bound=Hashable)


class BadFile(MedsegError):
    """A source file that cannot be used; ``reason`` says why, for a person, without the name of its ``path``."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"{project.display(path)}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


def check_source(source: Path, out: Path, expected: str) -> None:
    """Refuse a source that is not there, and an output whose replacement would destroy it; both are absolute.

    ``expected`` is the layout, in words.
    """
    if not source.is_dir():
        raise MedsegError(
            f"The source folder {project.display(source)} does not exist. Expected {expected}. "
            "data/README.md says where to get them; 'medseg sample' draws data to try things on."
        )
    inner, outer = source.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise MedsegError(
            f"The output {project.display(out)} and the source {project.display(source)} lie in one another: the "
            "output is replaced as a whole, and your images would go with it. Choose a folder apart."
        )


def entries(folder: Path) -> list[Path]:
    """Content of a folder in natural order, without hidden files and the litter of operating systems.

    Raises MedsegError: the folder may not be read.
    """
    try:
        content = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise MedsegError(
            f"{project.display(folder)} cannot be listed: {error.strerror}. Fix its permissions, or move it away."
        ) from error
    content = [entry for entry in content if entry.name.casefold() not in ("thumbs.db", "desktop.ini")]
    return sorted(content, key=lambda entry: (natural_key(entry.name), entry.name))


def checked_pattern(pattern: str) -> str:
    """A regular expression with one group, which finds in a name what it belongs to; or "".

    Raises MedsegError: it is none, or has another number of groups.
    """
    try:
        if not pattern or re.compile(pattern).groups == 1:
            return pattern
    except re.error as error:
        raise MedsegError(f"groups is {pattern!r}, which is not a regular expression: {error}.") from None
    raise MedsegError(
        f"groups is {pattern!r}; expected a regular expression with one group in parentheses, such as '^(.+)_[0-9]+$'."
    )


def subfolders(folder: Path, name: str) -> list[Path]:
    """Folders in ``folder`` that are called ``name`` (lower case), whatever their case."""
    return [entry for entry in entries(folder) if entry.is_dir() and entry.name.casefold() == name]


def files_by_patient(
    trees: Iterable[Path],
    suffix: str,
    expected: str,
    problems: list[Problem],
    files_of: Callable[[Path], list[Path]] = entries,
) -> dict[tuple[str, str], Path]:
    """Files by patient and name, from ``trees`` whose folders are the patients'.

    ``suffix`` is their extension in lower case, ``expected`` the layout in words; ``problems`` receives what does not
    belong, cannot be listed or is there twice; ``files_of`` lists the files of a patient's folder.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    for patient in [entry for tree in trees for entry in entries(tree)]:
        if not patient.is_dir():
            problems.append((patient, f"lies outside the patients' folders; expected {expected}"))
            continue
        try:
            for entry in files_of(patient):
                if any("\ud800" <= letter <= "\udfff" for letter in str(entry)):  # bytes of an old Korean archive
                    problems.append((entry, "its name, or its patient's, is not in UTF-8; rename it"))
                elif entry.is_dir() or entry.suffix.casefold() != suffix:
                    problems.append((entry, f"not a file with the extension {suffix}"))
                else:
                    found.setdefault((composed(patient.name), composed(entry.stem)), []).append(entry)
        except (MedsegError, OSError) as error:
            problems.append((patient, f"the folder cannot be read: {error}"))
    return only_once(found, problems)


def only_once(found: Mapping[Key, list[Path]], problems: list[Problem]) -> dict[Key, Path]:
    """The files that alone have their name; the others go to ``problems``.

    Names that differ in upper and lower case alone are the same: what is written for them would be one file on disks
    that ignore case.
    """
    alike: dict[Hashable, list[Key]] = {}
    for key in found:
        alike.setdefault(_without_case(key), []).append(key)
    for keys in alike.values():
        same = [path for key in keys for path in found[key]]
        if len(same) > 1:
            common = os.path.commonpath([path.parent for path in same])
            names = " and ".join(path.relative_to(common).as_posix() for path in same)
            but = ", but for upper and lower case" if len(keys) > 1 else ""
            problems += [(path, f"{names} have the same name{but}; keep the right one") for path in same]
    return {keys[0]: found[keys[0]][0] for keys in alike.values() if sum(len(found[key]) for key in keys) == 1}


def _without_case(key: Hashable) -> Hashable:
    if isinstance(key, tuple):
        return tuple(_without_case(part) for part in key)
    return key.casefold() if isinstance(key, str) else key


class CaseNames:
    """Finds the cases (``patient``, ``name``, ``case_id``) that a name in a list or an annotation file stands for."""

    def __init__(self, cases: Iterable[Any]) -> None:
        self._ids: dict[str, set[str]] = {}
        for case in cases:
            for name in (case.name, f"{case.patient}/{case.name}"):
                self._ids.setdefault(name, set()).add(case.case_id)

    def find(self, text: str) -> list[str]:
        """Ids of the cases called ``PATIENT/NAME`` or ``NAME``: none, one, or that of several patients.

        Both may be a path and have an extension; only extensions that are known are cut off.
        """
        path = PurePosixPath(composed(text.strip().replace("\\", "/")))
        name = path.name[: -len(path.suffix)] if path.suffix.casefold() in _EXTENSIONS else path.name
        folders = [part for part in path.parts[:-1] if part.casefold() not in ("endo", "originals")]
        return sorted(self._ids.get("/".join([*folders[-1:], name]), ()))


def relative(path: Path, source: Path) -> str:
    """A path as it stands in tables; what is no UTF-8 in a name is written with backslashes."""
    text = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_picture(path: Path) -> bool:
    """By its extension."""
    return path.suffix.casefold() in _PICTURES


def composed(name: str) -> str:
    """A name in composed form: the same however its accents or syllables were typed."""
    return unicodedata.normalize("NFC", name)


def plain_name(name: str) -> str:
    """Letters and digits of ``name``, lower case."""
    return re.sub(r"[^0-9a-z]", "", name.casefold())


def natural_key(name: str) -> list[str | int]:
    """Sort key by which 2 comes before 10."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
