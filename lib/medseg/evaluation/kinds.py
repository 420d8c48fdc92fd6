"""Kinds of label: how pictures of each are read, predicted and taken apart into what is scored.

What is scored of a picture are one or more masks (H, W), called by ``scored``: the class of a binary label, every class
of labels that overlap, the foreground of a class map. Each has a probability of its own that is thresholded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from medseg import registry
from medseg.datasets import frames, polygons
from medseg.errors import MedsegError

#: Probabilities of one picture, each (H, W) floating in [0, 1] at its own size. What has a length and is addressed by
#: number is enough, so that they are made one at a time: 29 maps of 2048 x 2048 would fill half a gigabyte.
Maps = Sequence[np.ndarray]

#: Of pictures (H, W, 3) uint8: probability maps (H, W) in [0, 1] for binary labels, (C, H, W), background first, for
#: class maps, each at its picture's own size. For labels that overlap :data:`Maps` of one picture (H, W) uint8.
Predictor = Callable[[Any], Any]


@dataclass(frozen=True)
class Kind(ABC):
    """A kind of label, for the classes of a dataset."""

    classes: Sequence[str]
    probability: str = "probability"  # what is thresholded, in words
    name: ClassVar[str]  # of the kind; see :data:`medseg.evaluation.measures.KINDS`
    grey: ClassVar[bool] = False  # whether pictures have one channel

    @property
    def scored(self) -> Sequence[str]:
        """Names of what is scored."""
        return self.classes

    @abstractmethod
    def read(self, dataset: Any, row: Any) -> tuple[np.ndarray, Any]:
        """Picture and label of a row of the index; a :class:`MedsegError` if one cannot be read, or sizes differ."""

    def maps(self, predict: Predictor, pictures: Sequence[np.ndarray]) -> list[Maps]:
        """For each picture the probabilities of what is scored."""
        return [[probability] for probability in predict(pictures)]

    def of_classes(self, maps: Any) -> Iterator[tuple[str, np.ndarray]]:
        """Every class and its probability (H, W), from one of :meth:`maps`."""
        return ((name, maps[number]) for number, name in enumerate(self.classes))

    def truth(self, label: Any, number: int) -> np.ndarray:
        """True mask (H, W), bool or uint8 of {0, 1}, of what is scored."""
        return label

    def whole(self, masks: Iterable[np.ndarray], maps: Any) -> np.ndarray:
        """All masks of a picture as uint8: (H, W) of {0, 1} or of classes, (C, H, W) of {0, 1} where they overlap."""
        (mask,) = masks
        return mask.astype(np.uint8)

    def part(self, whole: np.ndarray, number: int) -> np.ndarray:
        """Mask (H, W) bool of what is scored."""
        return whole.astype(bool)

    def pieces(self, whole: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Every class and its mask (H, W), as submissions want them."""
        return ((name, self.part(whole, number)) for number, name in enumerate(self.classes))

    def true_pieces(self, label: Any) -> Iterator[tuple[str, np.ndarray]]:
        """Every class and its true mask (H, W)."""
        return ((name, self.truth(label, number)) for number, name in enumerate(self.classes))


class Binary(Kind):
    """One class: labels (H, W) uint8 of {0, 1}."""

    name = "binary"

    def read(self, dataset: Any, row: Any) -> tuple[np.ndarray, np.ndarray]:
        return frames.read_binary(dataset, row)


class Overlapping(Kind):
    """Several classes that may share pixels: labels are polygons."""

    name, grey = "overlapping", True

    def read(self, dataset: Any, row: Any) -> tuple[np.ndarray, polygons.PolygonSet]:
        return frames.read_polygons(dataset, row)

    def maps(self, predict: Predictor, pictures: Sequence[np.ndarray]) -> list[Maps]:
        return [predict(picture) for picture in pictures]

    def truth(self, label: polygons.PolygonSet, number: int) -> np.ndarray:
        return polygons.draw_class(label, number)

    def whole(self, masks: Iterable[np.ndarray], maps: Any) -> np.ndarray:
        return np.stack([mask.astype(np.uint8) for mask in masks])

    def part(self, whole: np.ndarray, number: int) -> np.ndarray:
        return whole[number].view(bool)


@dataclass(frozen=True)
class ClassMap(Kind):
    """Classes of which a pixel has one or none: labels (H, W) uint8, 0 for none.

    A pixel is foreground where the probabilities of all classes add up to more than the threshold; it has the likeliest
    of the classes. The foreground is what is scored.
    """

    probability: str = "sum of the probabilities of all classes"
    foreground: str = "foreground"
    name = "class_map"

    @property
    def scored(self) -> Sequence[str]:
        return (self.foreground,)

    def read(self, dataset: Any, row: Any) -> tuple[np.ndarray, np.ndarray]:
        return frames.read_class_map(dataset, row)

    def maps(self, predict: Predictor, pictures: Sequence[np.ndarray]) -> list[Maps]:
        return [_ForegroundMap(probabilities) for probabilities in predict(pictures)]

    def of_classes(self, maps: "_ForegroundMap") -> Iterator[tuple[str, np.ndarray]]:
        return zip(self.classes, maps.classes, strict=True)

    def truth(self, label: np.ndarray, number: int) -> np.ndarray:
        return label > 0

    def whole(self, masks: Iterable[np.ndarray], maps: Any) -> np.ndarray:
        (mask,) = masks
        return np.where(mask, maps.likeliest, 0).astype(np.uint8)

    def pieces(self, whole: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, whole == number) for number, name in enumerate(self.classes, 1))

    def true_pieces(self, label: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        return self.pieces(label)


class _ForegroundMap(list[np.ndarray]):
    """The one probability of all classes together, from those of each (C, H, W), background first."""

    def __init__(self, probabilities: np.ndarray) -> None:
        self.classes = probabilities[1:]
        super().__init__([np.minimum(self.classes.sum(0), 1)])  # a sum of rounded numbers may end above 1

    @property
    def likeliest(self) -> np.ndarray:
        """The likeliest class of each pixel (H, W), from 1."""
        return self.classes.argmax(0) + 1


def of(name: str, classes: Sequence[str]) -> Kind:
    """The kind of this name, for these classes; a :class:`MedsegError` where there is none."""
    known = {kind.name: kind for kind in (Binary, Overlapping, ClassMap)}
    if name not in known:
        raise MedsegError(f"There is no kind of label {name!r}. Choose one of: {', '.join(known)}.")
    return known[name](classes)


def of_study(name: str, classes: Sequence[str]) -> Kind:
    """The kind of label of the study of this name, in its words; a :class:`MedsegError` where there is none."""
    study = registry.find(name)
    kind = of(study.label, classes)
    return replace(kind, foreground=study.foreground) if isinstance(kind, ClassMap) else kind
