"""Other layouts than the published one: labelme, COCO, or a mask a class, of pictures that are files or DICOM."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets import coco, foreground, images, labelme
from medseg.datasets.folders import BadFile, Problem, composed, entries, is_picture, natural_key, only_once, subfolders
from medseg.datasets.polygons import from_mask
from medseg.datasets.shapes import AnnotatedImage, PixelMask
from medseg.datasets.texts import utf8_or_korean
from medseg.errors import MedsegError
from medseg.studies.handbone.grouping import Grouping, Key
from medseg.studies.handbone.labels import Annotation, Labels
from medseg.studies.handbone.layout import EXPECTED as PUBLISHED
from medseg.studies.handbone.layout import Case

EXPECTED = (
    "pictures (PNG, JPEG, TIFF, BMP or DICOM) with a labelme JSON of the same name each, with one COCO JSON for all, "
    "or 'images/' with 'masks/CLASS/NAME.png'"
)
_LABELS = ("annotations", "labels", "json", "masks")  # folders that hold no pictures


@dataclass(frozen=True)
class Found:
    """What lies in a source: its cases, their labels, and the classes in the order of the data."""

    layout: str
    cases: list[Case]
    classes: list[str]
    read: Callable[[Case], Labels]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    guessed: bool = False  # nothing says which pictures are of one patient


def find(source: Path, groups: str = "") -> Found:
    """Find pictures and labels in ``source``; what belongs nowhere is among the ``problems``.

    ``groups`` is a regular expression with one group, searched in the names of the pictures: what it finds is the
    patient. Empty: the folder of a picture, where there are several; else the patient that DICOM files name; else every
    picture for itself. Raises MedsegError: nothing that could be read, or several COCO files.
    """
    problems: list[Problem] = []
    pictures = _pictures(source, problems)
    named = Grouping(pictures, groups)
    for reader in (_coco, _masks, _labelme):
        if found := reader(source, pictures, named, problems):
            return found
    content = ", ".join(entry.name for entry in entries(source)[:8]) or "nothing"
    raise MedsegError(
        f"{project.display(source)} holds {content}; {len(pictures)} pictures, and no labels of a known kind. "
        f"Expected {PUBLISHED}; or {EXPECTED}."
    )


def _pictures(source: Path, problems: list[Problem]) -> dict[Key, Path]:
    """Pictures by folder and name, those in ``images/`` alone where there is such a folder."""
    tops = subfolders(source, "images") or [source]
    found: dict[Key, list[Path]] = {}

    def walk(folder: Path, root: Path) -> None:
        for entry in entries(folder):
            if entry.is_dir():
                if entry.name.casefold() not in _LABELS:
                    walk(entry, root)
            elif is_picture(entry) or entry.suffix.casefold() == ".dcm":
                place = composed(folder.relative_to(root).as_posix())
                found.setdefault(("" if place == "." else place, composed(entry.stem)), []).append(entry)

    for top in tops:
        walk(top, top)
    kept = only_once(found, problems)
    return {key: kept[key] for key in sorted(kept, key=lambda key: (*map(natural_key, key), key))}


def _json(path: Path) -> Any:
    try:
        return json.loads(utf8_or_korean(path.read_bytes())[0])
    except (OSError, ValueError, RecursionError):
        return None


def _coco(source: Path, pictures: dict[Key, Path], named: Grouping, problems: list[Problem]) -> Found | None:
    folders = [source, *subfolders(source, "annotations")]
    listed = [entry for folder in folders for entry in entries(folder) if entry.suffix.casefold() == ".json"]
    own = {name for _, name in pictures}
    files = [path for path in listed if composed(path.stem) not in own and coco.is_coco(_json(path))]
    if not files:
        return None
    if len(files) > 1:
        raise MedsegError(
            f"{project.display(source)} holds {len(files)} COCO files: {', '.join(path.name for path in files[:4])}. "
            "Leave the one that is to be read; its patients are divided here."
        )
    annotated, names = coco.read(files[0])
    by_place = _by_place(pictures)
    labels: dict[Key, AnnotatedImage] = {}
    for image in annotated:
        found = by_place(image.name)
        if len(found) != 1:
            what = "there is no such picture" if not found else f"{len(found)} pictures have this name"
            problems.append((files[0].parent / f"{files[0].name}: {image.name}", what))
        elif found[0] in labels:
            problems.append((files[0].parent / f"{files[0].name}: {image.name}", "the picture is there twice"))
        else:
            labels[found[0]] = image
    used = {label for image in labels.values() for label, _ in image.shapes}
    classes = [name for name in names if name in used]
    return _of_images("COCO JSON", pictures, labels, classes, named, problems, dict.fromkeys(labels, files[0]))


def _by_place(pictures: dict[Key, Path]) -> Callable[[str], list[Key]]:
    """Finds pictures by a path that ends as theirs does, else by their name."""
    by_name: dict[str, list[Key]] = {}
    for key in pictures:
        by_name.setdefault(key[1], []).append(key)

    def find_all(name: str) -> list[Key]:
        path = Path(composed(name))
        folder = "" if path.parent.as_posix() == "." else path.parent.as_posix()
        found = by_name.get(path.stem, by_name.get(path.name, []))
        exact = [key for key in found if key[0] == folder]
        return exact or [key for key in found if f"/{folder}".endswith(f"/{key[0]}")] or found

    return find_all


def _labelme(source: Path, pictures: dict[Key, Path], named: Grouping, problems: list[Problem]) -> Found | None:
    files: dict[Key, list[Path]] = {}
    tops = [source, *subfolders(source, "images"), *(f for name in _LABELS for f in subfolders(source, name))]

    def walk(folder: Path, root: Path) -> None:
        for entry in entries(folder):
            if entry.is_dir() and entry not in tops:
                walk(entry, root)
            elif entry.suffix.casefold() == ".json":
                place = composed(folder.relative_to(root).as_posix())
                files.setdefault(("" if place == "." else place, composed(entry.stem)), []).append(entry)

    for top in tops:
        walk(top, top)
    if not files:
        return None
    labels: dict[Key, AnnotatedImage] = {}
    places = only_once(files, problems)
    for key, path in places.items():
        try:
            image = labelme.read(path)
        except BadFile as error:
            problems.append((path, error.reason))
            continue
        if key in pictures:
            labels[key] = image
        else:
            problems.append((path, "label without image: no picture of this name in this folder"))
    if not labels:
        return None
    used = {label for image in labels.values() for label, _ in image.shapes}
    return _of_images(
        "labelme JSON", pictures, labels, sorted(used, key=natural_key), named, problems, places, told_as_shown=True
    )


def _of_images(
    layout: str,
    pictures: dict[Key, Path],
    labels: dict[Key, AnnotatedImage],
    classes: list[str],
    named: Grouping,
    problems: list[Problem],
    places: dict[Key, Path],
    *,
    told_as_shown: bool = False,
) -> Found:
    of_case: dict[str, AnnotatedImage] = {}

    def read(case: Case) -> Labels:
        image = of_case[case.case_id]
        listed = [
            Annotation(number, "", label, _points(geometry).tolist())
            for number, (label, geometry) in enumerate(image.shapes)
        ]
        return Labels(image.size, listed, image.faults, told_as_shown=told_as_shown)

    cases = _cases(
        pictures, labels, named, problems, lambda key, case: of_case.update({case.case_id: labels[key]}), places
    )
    return Found(layout, cases, classes, read, problems, [named.note], named.guessed)


def _points(geometry: Any) -> Any:
    if not isinstance(geometry, PixelMask):
        return geometry
    return from_mask(geometry.pixels) + (geometry.left, geometry.top)


def _cases(
    pictures: dict[Key, Path],
    labelled: Iterable[Key],
    named: Grouping,
    problems: list[Problem],
    note: Callable[[Key, Case], None],
    places: dict[Key, Path],
) -> list[Case]:
    """The pictures with a label as cases; the others, and those that would have one name, go to ``problems``."""
    have = set(labelled)
    cases: dict[str, Case] = {}
    for key, image in pictures.items():
        if key not in have:
            problems.append((image, "image without label"))
            continue
        try:
            case = named.case(key, image, places[key])
        except BadFile as error:
            problems.append((image, error.reason))
            continue
        if case.case_id in cases:
            problems.append((image, f"would be called {case.case_id}, as is {cases[case.case_id].image.name}"))
            continue
        cases[case.case_id] = case
        note(key, case)
    return list(cases.values())


def _masks(source: Path, pictures: dict[Key, Path], named: Grouping, problems: list[Problem]) -> Found | None:
    tops = subfolders(source, "masks")
    folders = [entry for top in tops for entry in entries(top) if entry.is_dir()]
    if not folders or not subfolders(source, "images"):
        return None
    names = {name for _, name in pictures}
    by_picture = all(composed(folder.name) in names for folder in folders)
    files: dict[str, dict[str, Path]] = {}  # name of the picture, class, file
    for folder in folders:
        for path in entries(folder):
            if not is_picture(path):
                problems.append((path, "not a picture of a mask"))
                continue
            name, label = (folder.name, path.stem) if by_picture else (path.stem, folder.name)
            files.setdefault(composed(name), {})[composed(label)] = path
    problems += [
        (next(iter(found.values())), "mask without image: no picture of this name")
        for name, found in files.items()
        if name not in names
    ]
    twice = [name for name, count in Counter(name for _, name in pictures).items() if count > 1]
    problems += [(path, "pictures in two folders have this name") for key, path in pictures.items() if key[1] in twice]
    single = {key: path for key, path in pictures.items() if key[1] not in twice}
    places = {key: next(iter(files[key[1]].values())) for key in single if key[1] in files}
    of_case: dict[str, dict[str, Path]] = {}

    def read(case: Case) -> Labels:
        listed, faults, sizes = [], [], set()
        for number, (label, path) in enumerate(of_case[case.case_id].items()):
            try:
                mask = foreground.cleaned(images.read_mask(path))
                sizes.add(mask.shape[::-1])
                if mask.any():
                    listed.append(Annotation(number, "", label, from_mask(mask).tolist()))
            except BadFile as error:
                faults.append(f"{label}: {error.reason}")
        if len(sizes) > 1:
            raise BadFile(f"its masks differ in size: {', '.join(f'{w} x {h}' for w, h in sorted(sizes))}")
        return Labels(next(iter(sizes), None), listed, faults)

    cases = _cases(
        single, places, named, problems, lambda key, case: of_case.update({case.case_id: files[key[1]]}), places
    )
    classes = sorted({label for found in files.values() for label in found}, key=natural_key)
    return Found("a mask for each class", cases, classes, read, problems, [named.note], named.guessed)
