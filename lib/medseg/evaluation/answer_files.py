"""Answers in a folder: a file for each case, or for each case and class where classes overlap."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError
from medseg.evaluation import kinds, map_files
from medseg.evaluation.answers import Answers, Finder, SetNamed


class Files(Answers):
    """A folder of files. ``stretch`` brings every map of one class to 0..1, as PraNet's evaluation does."""

    def __init__(self, folder: Path, kind: kinds.Kind, set_named: SetNamed, stretch: bool = False) -> None:
        super().__init__(kind)
        self._folder, self._set_named, self._stretch = folder, set_named, stretch
        self._file_of: dict[tuple[str, str], Path] = {}
        self._paths = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.casefold() in map_files.SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if not self._paths:
            raise MedsegError(
                f"{project.display(folder)} holds no map and no mask. Expected files with one of the endings "
                f"{', '.join(map_files.SUFFIXES)}, called like the test pictures."
            )

    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        finder = Finder[Path](cases, self._set_named, project.display(self._folder))
        for path in self._paths:
            finder.add(path.relative_to(self._folder).as_posix(), path)
        lacking = []
        for _, case in cases.iterrows():
            for name in self.kind.classes if self.kind.name == "overlapping" else ("",):
                if (file := finder.find(case, name)) is None:
                    lacking.append((case["case_id"], name))
                else:
                    self._file_of[case["case_id"], name] = file
        finder.tell(self)
        return lacking

    def of_class(self, case: pd.Series, number: int, size: tuple[int, int]) -> np.ndarray:
        name = self.kind.classes[number] if self.kind.name == "overlapping" else ""
        file = self._file_of[case["case_id"], name]
        values = map_files.probabilities(map_files.values(file), file, 1 if self._ones else None)
        two = len(np.unique(values)) <= 2
        self.soft |= not two
        values = self._of_size(file, values, size, exact=two)
        low, high = float(values.min()), float(values.max())
        return (values - low) / (high - low) if self._stretch and high > low else values

    def of_classes(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        file = self._file_of[case["case_id"], ""]
        number = len(self.kind.classes)
        values = map_files.classes(map_files.values(file, indices=True), file, number)
        fitted = self._of_size(file, values, size, exact=True).astype(np.intp)
        return np.eye(number + 1, dtype=np.float32)[fitted].transpose(2, 0, 1)

    def _of_size(self, file: Path, values: np.ndarray, size: tuple[int, int], exact: bool) -> np.ndarray:
        try:
            return self.fitted(values, size, exact)
        except BadFile as error:
            raise BadFile(error.reason, file) from error

    @cached_property
    def _ones(self) -> bool:
        """Whether whole numbers are masks of 0 and 1: a single map may have nothing above 1 of 255, not all of them."""
        for file in self._file_of.values():
            try:
                if map_files.values(file).max() > 1:
                    return False
            except BadFile:  # is said when its case is scored
                continue
        return True
