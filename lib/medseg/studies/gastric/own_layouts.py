"""Other layouts than the public one: pictures with labelme, COCO or CVAT files, or with masks of class numbers."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets import coco, cvat, images, labelme
from medseg.datasets.folders import BadFile, Problem, composed, entries, is_picture, natural_key, only_once, subfolders
from medseg.datasets.shapes import AnnotatedImage
from medseg.datasets.texts import utf8_or_korean
from medseg.errors import MedsegError
from medseg.names import joined, loose
from medseg.studies.gastric import class_masks, own_pictures, reading
from medseg.studies.gastric.corrections import lesion_of
from medseg.studies.gastric.found import Found, Mapper
from medseg.studies.gastric.labels import Lesion
from medseg.studies.gastric.layout import Case, Counter
from medseg.studies.gastric.own_pictures import LABEL_FOLDERS, Key, walk

EXPECTED = (
    "pictures (PNG, JPEG, TIFF, BMP or DICOM) with a labelme JSON of the same name each, beside or in 'labels/', with "
    "one COCO JSON or CVAT XML for all, or 'images/NAME.png' with 'labels/NAME.png' of class numbers"
)

_SHARED = ("COCO JSON", "CVAT XML")


def find(source: Path, classes: tuple[str, ...], pattern: str, frames_of: Counter, run_all: Mapper) -> Found:
    """Find pictures and labels in ``source``; what belongs nowhere is among the ``problems``.

    ``classes`` are their names, else they are in a ``classes.txt`` or ``labels.txt`` (a line a class), else those of
    the labels. ``pattern`` as in :func:`own_pictures.find`. Raises MedsegError: no pictures, no labels of a known kind,
    or of several kinds, or the classes are not known.
    """
    problems: list[Problem] = []
    pictures, note, guessed = own_pictures.find(source, pattern, frames_of, problems)
    tops = [folder for name in LABEL_FOLDERS for folder in subfolders(source, name)]
    files = _label_files(source, tops, pictures)
    if not pictures or len(files) != 1:
        _refuse(source, pictures, list(files))
    (kind, found), *_ = files.items()
    names = classes or class_masks.named_in([source, *tops])
    if kind in _SHARED:
        paths = [path for listed in found.values() for path in listed]
        labelled, names, read = _of_files(kind, paths, pictures, names, problems)
    else:
        single = only_once(found, problems)
        what = "label without image: no picture of this name in this folder"
        problems += [(path, what) for key, path in single.items() if key not in pictures]
        labelled = {key: path for key, path in single.items() if key in pictures}
        if kind == "labelme JSON":
            names = names or _of_labels(chain.from_iterable(run_all(_labels, list(labelled.values()))))
            read = _labelme(names)
        else:
            names = names or class_masks.numbered(list(run_all(class_masks.values, list(labelled.values()))), source)
            read = class_masks.reader(names)
    if not names:
        raise MedsegError(f"{project.display(source)}: the labels ({kind}) hold no class. Name them in classes.")
    cases = [replace(case, label=labelled.get(key)) for key, case in pictures.items()]
    shared = kind in _SHARED
    return Found(f"pictures with {kind}", cases, names, read, problems, [note], shared=shared, guessed=guessed)


def _label_files(source: Path, tops: list[Path], pictures: dict[Key, Case]) -> dict[str, dict[Key, list[Path]]]:
    """Files of labels by their kind."""
    beside = [source, *subfolders(source, "images"), *tops]
    stems = {composed(case.image.stem) for case in pictures.values()} | {name for _, name in pictures}
    sheets = walk(beside, lambda path: path.suffix.casefold() == ".json")
    one = {key: paths for key, paths in sheets.items() if key[1] not in stems and any(map(_is_coco, paths))}
    own = {key: paths for key, paths in sheets.items() if key not in one}
    found = {
        "labelme JSON": own if any(name in stems for _, name in own) else {},
        "COCO JSON": one,
        "CVAT XML": walk(beside, lambda path: path.suffix.casefold() == ".xml"),
        "masks of class numbers": walk(tops, is_picture),
    }
    return {kind: paths for kind, paths in found.items() if paths}


def _refuse(source: Path, pictures: dict[Key, Case], kinds: list[str]) -> None:
    here = project.display(source)
    if pictures and kinds:
        raise MedsegError(f"{here} holds labels of {len(kinds)} kinds: {joined(kinds)}. Leave those to be read.")
    content = ", ".join(entry.name for entry in entries(source)[:8]) or "nothing"
    lacking = f"{len(pictures)} pictures, and no labels of a known kind" if pictures else "no pictures"
    raise MedsegError(
        f"{here} holds {content}; {lacking}. Expected {EXPECTED}; or the folders 'DICOM' and 'LABELS' of the public "
        "layout."
    )


def _is_coco(path: Path) -> bool:
    try:
        return coco.is_coco(json.loads(utf8_or_korean(path.read_bytes())[0]))
    except (OSError, ValueError, RecursionError):
        return False


def _labels(path: Path) -> list[str]:
    try:
        return [label for label, _ in labelme.read(path).shapes]
    except BadFile:
        return []  # the pass that follows says why


def _of_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Classes of labels, in natural order; the same however they are typed."""
    spelt: dict[str, str] = {}
    for label in sorted(set(labels), key=lambda label: (natural_key(label.casefold()), label)):
        spelt.setdefault(loose(label), label.strip())
    return tuple(spelt.values())


def _labelme(names: tuple[str, ...]) -> Callable[[Case, tuple[int, int]], Lesion]:
    def read(case: Case, size: tuple[int, int]) -> Lesion:
        return lesion_of(labelme.read(case.label or case.image), size, names)  # labelme turns pictures as we do

    return read


def _of_files(
    kind: str, paths: list[Path], pictures: dict[Key, Case], names: tuple[str, ...], problems: list[Problem]
) -> tuple[dict[Key, Path], tuple[str, ...], Callable[[Case, tuple[int, int]], Lesion]]:
    """Labels of many pictures in a few files: the file of each picture, the classes, and how a label is read."""
    found: dict[Key, AnnotatedImage] = {}
    labelled: dict[Key, Path] = {}
    categories: list[str] = []
    for path in paths:
        if kind == "COCO JSON":
            annotated, listed = coco.read(path)
            categories += listed
        else:
            annotated = cvat.read(path)
        for image in annotated:
            keys = _matching(image.name, pictures)
            if len(keys) != 1:
                what = "there is no such picture" if not keys else f"{len(keys)} pictures have this name"
                problems.append((path.parent / f"{path.name}: {image.name}", what))
            elif keys[0] in found:
                found[keys[0]].problem = "the picture is there twice"
            else:
                found[keys[0]], labelled[keys[0]] = image, path
    used = _of_labels(label for image in found.values() for label, _ in image.shapes)
    if kind == "COCO JSON":  # its categories are in order
        order = [loose(name) for name in categories]
        used = tuple(sorted(used, key=lambda name: order.index(loose(name))))
    classes = names or used
    of_case = {pictures[key].case_id: image for key, image in found.items()}

    def read(case: Case, size: tuple[int, int]) -> Lesion:
        image = of_case[case.case_id]
        _check_orientation(case, image, size)
        return lesion_of(image, size, classes)

    return labelled, classes, read


def _matching(name: str, pictures: dict[Key, Case]) -> list[Key]:
    """Pictures that a file calls ``name``: of this path below the source, else of its end, else of this name."""
    path = Path(composed(name))
    folder = "" if path.parent.as_posix() == "." else path.parent.as_posix()
    stem = path.name[: -len(path.suffix)] if is_picture(path) or path.suffix.casefold() == ".dcm" else path.name
    if (folder, stem) in pictures:
        return [(folder, stem)]
    alike = [key for key in pictures if key[1] == stem]
    return [key for key in alike if key[0] and f"/{folder}".endswith(f"/{key[0]}")] or alike


def _check_orientation(case: Case, image: AnnotatedImage, size: tuple[int, int]) -> None:
    """BadFile where a tag (EXIF) turns a picture, and it cannot be known whether it was annotated as stored."""
    tag: Any = 1 if reading.is_dicom(case) else images.orientation(case.image)
    if tag == 1 or (tag >= 5 and image.size == size and size[0] != size[1]):
        return
    raise BadFile(
        f"its orientation tag (EXIF) is {tag}: whether it was annotated as stored or as turned cannot be known. Save "
        "it without the tag, and annotate that"
    )
