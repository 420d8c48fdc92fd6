"""Pictures in other layouts than the public one: where they lie, what they are called, and whose they are."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from medseg.datasets.cvat import frame_name
from medseg.datasets.folders import Problem, composed, entries, is_picture, natural_key, only_once, subfolders
from medseg.studies.gastric.layout import Case, Counter

Key = tuple[str, str]
"""The folder of a picture, below the source, and its name: of a frame of a sequence ``NAME-f0001``."""

LABEL_FOLDERS = ("labels", "masks", "annotations", "json")


def walk(tops: list[Path], wanted: Callable[[Path], bool], skipped: tuple[str, ...] = ()) -> dict[Key, list[Path]]:
    """Files below ``tops`` that are ``wanted``, by folder below their top and name; folders ``skipped`` are passed."""
    found: dict[Key, list[Path]] = {}

    def look(folder: Path, top: Path) -> None:
        for entry in entries(folder):
            if entry.is_dir():
                if entry.name.casefold() not in skipped and entry not in tops:
                    look(entry, top)
            elif wanted(entry):
                place = composed(folder.relative_to(top).as_posix())
                found.setdefault(("" if place == "." else place, composed(entry.stem)), []).append(entry)

    for top in tops:
        look(top, top)
    return found


def find(source: Path, pattern: str, frames_of: Counter, problems: list[Problem]) -> tuple[dict[Key, Case], str, bool]:
    """Pictures as cases without label, those in ``images/`` alone where there is such a folder.

    ``pattern`` is a regular expression with one group that finds the patient in the name of a file; empty: the folder
    is the patient where there are several, else every file stands for itself. Returns the cases, how patients are
    known, in words, and whether that is a guess; ``problems`` receives pictures that cannot be told apart or whose
    patient cannot.
    """
    tops = subfolders(source, "images") or [source]
    files = only_once(walk(tops, _is_picture, LABEL_FOLDERS), problems)
    firsts = {PurePosixPath(folder).parts[:1] for folder, _ in files}
    by_folder = len(firsts) > 1 and not pattern
    sequences = [path for path in files.values() if path.suffix.casefold() == ".dcm"]
    count = dict(zip(sequences, frames_of(sequences), strict=True))
    cases: dict[Key, Case] = {}
    taken: dict[str, Path] = {}
    for key in sorted(files, key=lambda key: (*map(natural_key, key), key)):
        path = files[key]
        case = _case(key, path, re.compile(pattern) if pattern else None, by_folder)
        if case is None:
            problems.append((path, f"the pattern of groups, {pattern}, finds nothing in its name"))
            continue
        frames = count.get(path, 1)
        for number in range(frames):
            one, place = case, key
            if frames > 1:
                one = replace(case, name=frame_name(case.name, number), frame=number)
                place = (key[0], frame_name(key[1], number))
            if one.case_id.casefold() in taken:
                other = taken[one.case_id.casefold()].name
                problems.append((path, f"would be called {one.case_id}, as is one of {other}; rename it"))
                break
            taken[one.case_id.casefold()] = path
            cases[place] = one
    if pattern:
        return cases, f"Patients are what {pattern} finds in the names of the pictures.", False
    if by_folder:
        return cases, "Each folder of pictures is a patient.", False
    note = (
        "Nothing says which pictures are of one patient, so every file stands for itself: pictures of one patient may "
        "lie in two splits, and scores may flatter. The parameter groups says it, or a folder for each patient."
    )
    return cases, note, True


def _is_picture(path: Path) -> bool:
    return is_picture(path) or path.suffix.casefold() == ".dcm"


def _case(key: Key, path: Path, pattern: re.Pattern[str] | None, by_folder: bool) -> Case | None:
    """A case without label; None where the pattern finds no patient."""
    folders, name = PurePosixPath(key[0]).parts, key[1]
    if by_folder and folders:
        return Case(folders[0], "-".join([*folders[1:], name]), path, None)
    name = "-".join([*folders, name])
    if pattern is None:
        return Case(name, name, path, None, alone=True)
    match = pattern.search(key[1])
    return Case(match[1], name, path, None) if match and match[1] else None
