"""Answers in one file: run lengths of a submission, or shapes of a COCO file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets import coco
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, draw_class
from medseg.datasets.shapes import AnnotatedImage, PixelMask
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.answers import Answers, Finder, SetNamed
from medseg.masks import rle, submission
from medseg.names import listed


class Rows(Answers):
    """Masks by name of picture and class, as :class:`RunLengths` and :class:`Shapes` have them."""

    def __init__(self, path: Path, kind: kinds.Kind, set_named: SetNamed, names: Iterable[str]) -> None:
        super().__init__(kind)
        self._path, self._set_named, self._names = path, set_named, list(dict.fromkeys(names))
        self.name_of: dict[str, str] = {}  # of the picture of a case, in the file

    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        finder = Finder[str](cases, self._set_named, project.display(self._path))
        for found in self._names:
            finder.add(found.replace("\\", "/"), found)
        lacking = []
        for _, case in cases.iterrows():
            if (name := finder.find(case)) is None:
                lacking.append((case["case_id"], ""))
            else:
                self.name_of[case["case_id"]] = name
                lacking += [(case["case_id"], class_name) for class_name in self._absent(name)]
        finder.tell(self)
        return lacking

    def of_classes(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        masks = np.stack([self.of_class(case, number, size) for number in range(len(self.kind.classes))])
        if masks.sum(0).max(initial=0) > 1:
            raise BadFile("masks of two classes share pixels, which one class alone may have", self._path)
        return np.concatenate([1 - masks.max(0, keepdims=True), masks])

    def _absent(self, name: str) -> list[str]:
        """Classes to which there is no answer for a picture."""
        return []


class RunLengths(Rows):
    """Of a submission; see :mod:`medseg.masks.submission`."""

    def __init__(self, path: Path, kind: kinds.Kind, set_named: SetNamed) -> None:
        self._codes = {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
        super().__init__(path, kind, set_named, (name for name, _ in self._codes))
        _check_classes(path, kind, {name for _, name in self._codes})

    def of_class(self, case: pd.Series, number: int, size: tuple[int, int]) -> np.ndarray:
        code = self._codes[self.name_of[case["case_id"]], self.kind.classes[number]]
        return rle.decode(code, size).astype(np.float32)

    def _absent(self, name: str) -> list[str]:
        return [class_name for class_name in self.kind.classes if (name, class_name) not in self._codes]


class Shapes(Rows):
    """Of a COCO file; where shapes have scores, those above ``threshold`` alone."""

    def __init__(self, path: Path, kind: kinds.Kind, set_named: SetNamed, threshold: float) -> None:
        pictures, classes = coco.read(path, predicted_above=threshold)
        self._pictures = {picture.name: picture for picture in pictures}
        if len(self._pictures) < len(pictures):
            raise MedsegError(f"{project.display(path)} has two pictures of the same name. Name each with its folder.")
        super().__init__(path, kind, set_named, self._pictures)
        _check_classes(path, kind, classes)

    def of_class(self, case: pd.Series, number: int, size: tuple[int, int]) -> np.ndarray:
        picture = self._pictures[self.name_of[case["case_id"]]]
        if picture.faults:
            raise BadFile(f"{picture.name}: {picture.faults[0]}", self._path)
        mask = _drawn(picture, self.kind.classes[number], size)
        return self.fitted(mask, size, exact=True)


def _drawn(picture: AnnotatedImage, class_name: str, size: tuple[int, int]) -> np.ndarray:
    """Mask uint8 of {0, 1} of all shapes of a class, of the size that the file tells, else of ``size``."""
    whole = np.zeros((picture.height or size[0], picture.width or size[1]), np.uint8)
    for label, geometry in picture.shapes:
        if label != class_name:
            continue
        if isinstance(geometry, PixelMask):
            rows, columns = geometry.pixels.shape
            part = whole[geometry.top : geometry.top + rows, geometry.left : geometry.left + columns]
            if part.shape != geometry.pixels.shape:
                raise BadFile(f"{picture.name}: run lengths of another size than the picture")
            part |= geometry.pixels
        else:
            whole |= draw_class(PolygonSet.of([(0, geometry)], whole.shape[::-1]), 0).astype(np.uint8)
    return whole


def _check_classes(path: Path, kind: kinds.Kind, found: Iterable[str]) -> None:
    if unknown := sorted(set(found) - set(kind.classes)):
        raise MedsegError(
            f"{project.display(path)} has the classes {listed(unknown)}, which the data has not; it has "
            f"{listed(kind.classes)}. Rename them in the file."
        )
