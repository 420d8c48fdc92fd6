"""What a method made elsewhere says about the cases of a dataset, and which of its files is about which case."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import pandas as pd

from medseg.datasets.folders import BadFile, composed, plain_name
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.map_files import SUFFIXES
from medseg.names import listed

SCALING = "masks of two values and maps of classes: nearest pixel; other maps: bilinear, pixel centres in their places"
#: What methods add to the name of a picture when they write what they predict for it.
_ADDED = ("{}_mask", "{}_pred", "p{}")

Thing = TypeVar("Thing", bound=Hashable)
#: The name of a public set by that of a folder, or None; see :attr:`medseg.registry.Study.set_named`.
SetNamed = Callable[[str], str | None]


class Answers(ABC):
    """Masks or probability maps of cases.

    Attributes:
        scaled: how many were not of the size of their pictures.
        soft: whether any was a map with more than two values.
        unused: how many files or pictures are of no test case.
        example: the name of one of these.
    """

    def __init__(self, kind: kinds.Kind) -> None:
        self.kind = kind
        self.scaled = self.unused = 0
        self.soft = False
        self.example = ""

    @abstractmethod
    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        """Case and class (empty: all) to which there is no answer; to be asked first.

        A MedsegError where it cannot be said which file is of which case.
        """

    @abstractmethod
    def of_class(self, case: pd.Series, number: int, size: tuple[int, int]) -> np.ndarray:
        """float32 (H, W) in [0, 1] of a class (from 0), of ``size`` (H, W); BadFile or ValueError: damaged."""

    @abstractmethod
    def of_classes(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        """Of a class map: float32 (C + 1, H, W) in [0, 1], background first; raises as :meth:`of_class`."""

    def maps(self, case: pd.Series, size: tuple[int, int]) -> Any:
        """As the predictors of this kind give them; a MedsegError with the name of the case where one is damaged."""
        if self.kind.name == "overlapping":
            return _Each(self, case, size)
        try:
            return self.of_classes(case, size) if self.kind.name == "class_map" else self.of_class(case, 0, size)
        except (MedsegError, ValueError) as error:
            raise _damaged(case, error) from error

    def fitted(self, values: np.ndarray, size: tuple[int, int], exact: bool) -> np.ndarray:
        """float32 ``values`` (H, W) at ``size`` by :data:`SCALING`; BadFile: they lie on their side."""
        if values.shape != size:
            if values.shape == size[::-1]:
                shown, own = (f"{width} x {height}" for height, width in (values.shape, size))
                raise BadFile(f"is {shown} and its picture {own} pixels: height and width are exchanged")
            self.scaled += 1
            how = cv2.INTER_NEAREST_EXACT if exact else cv2.INTER_LINEAR
            values = cv2.resize(values.astype(np.float32), size[::-1], interpolation=how)
        return values.astype(np.float32)


class _Each(Sequence[np.ndarray]):
    """The maps of the classes of a case, read one at a time: 29 of 2048 x 2048 would fill half a gigabyte."""

    def __init__(self, answers: Answers, case: pd.Series, size: tuple[int, int]) -> None:
        self._answers, self._case, self._size = answers, case, size

    def __len__(self) -> int:
        return len(self._answers.kind.classes)

    def __getitem__(self, number: Any) -> Any:
        try:
            return self._answers.of_class(self._case, number, self._size)
        except (MedsegError, ValueError) as error:
            raise _damaged(self._case, error) from error


@dataclass
class Finder(Generic[Thing]):
    """Finds what is of a case by its name, as preparations know their files, and by the folders that it lies in.

    Of a name nothing counts but its letters' case and accents' form; of folders punctuation does not count either, and
    public sets are known by any of their names.
    """

    cases: pd.DataFrame
    set_named: SetNamed
    where: str  # what is searched, for messages
    taken: dict[Thing, str] = field(default_factory=dict)
    _by_name: dict[str, list[tuple[Thing, frozenset[str], str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = {key for _, case in self.cases.iterrows() for key in self._own(case)}

    def add(self, path: str, thing: Thing) -> None:
        """Take in what has this path, with ``/``; the extension of a picture or map does not count."""
        *folders, name = path.split("/")
        keys = frozenset(map(self._folder, folders))
        stem = name[: -len(suffix)] if (suffix := PurePosixPath(name).suffix).casefold() in SUFFIXES else name
        self._by_name.setdefault(_name(stem), []).append((thing, keys, path))

    def find(self, case: pd.Series, class_name: str = "") -> Thing | None:
        """What is of a case and a class; a MedsegError where several are, or it was found for another case."""
        own = self._own(case)
        for name in _names(case):
            found = list(self._called(name, class_name))
            # What lies in a folder of another test set or patient is of that one.
            fitting = [entry for entry in found if entry[1] & own or not entry[1] & self._known]
            most = max((len(keys & own) for _, keys, _ in fitting), default=0)
            fitting = [entry for entry in fitting if len(entry[1] & own) == most]
            if len(fitting) > 1:
                raise MedsegError(
                    f"{self.where} has several answers for {case['case_id']}: "
                    f"{listed(sorted(path for *_, path in fitting))}. Keep one, or put them in folders called like the "
                    "test sets."
                )
            if fitting:
                thing, _, path = fitting[0]
                if self.taken.setdefault(thing, case["case_id"]) != case["case_id"]:
                    raise MedsegError(
                        f"{path} in {self.where} could be of {self.taken[thing]} and of {case['case_id']}. Put what is "
                        "of different test sets into folders called like them, or call it like the cases."
                    )
                return thing
        return None

    def tell(self, answers: Answers) -> None:
        """Say what was found for no case."""
        unused = [path for found in self._by_name.values() for thing, _, path in found if thing not in self.taken]
        answers.unused, answers.example = len(unused), next(iter(unused), "")

    def _called(self, name: str, class_name: str) -> Iterator[tuple[Thing, frozenset[str], str]]:
        if not class_name:
            yield from self._by_name.get(name, [])
            return
        for inner, outer in ((name, class_name), (_name(class_name), name)):
            yield from (entry for entry in self._by_name.get(inner, []) if self._folder(outer) in entry[1])

    def _own(self, case: pd.Series) -> set[str]:
        """The folders that tell a case: its test set, and those of its name."""
        return {self._folder(part) for part in (case["test_set"], *case["case_id"].split("/")[:-1]) if part}

    def _folder(self, name: str) -> str:
        name = self.set_named(name) or name
        return plain_name(name) or _name(name)


def _damaged(case: pd.Series, error: Exception) -> MedsegError:
    return MedsegError(f"{case['case_id']} cannot be scored: {error}")


def _names(case: pd.Series) -> Iterator[str]:
    """What the file of a case may be called, the most telling name first."""
    identity = case["case_id"]
    image = PurePosixPath(str(case.get("image_name", "")) or identity)
    plain = image.name[: -len(image.suffix)] if image.suffix.casefold() in SUFFIXES else image.name
    last = identity.rpartition("/")[2]
    whole = [identity.replace("/", mark) for mark in ("-", "_", "__")]
    yield from dict.fromkeys(map(_name, [*whole, image.name, plain, last]))
    yield from (_name(pattern.format(name)) for pattern in _ADDED for name in dict.fromkeys((plain, last)))


def _name(name: str) -> str:
    return composed(name).casefold()
