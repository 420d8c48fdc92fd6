"""What studies there are: every package ``medseg.studies.NAME`` whose module ``study`` says what it is.

Modules and functions are named as text (``package.module:function``, for :func:`pkgutil.resolve_name`), so that asking
what there is imports neither a framework nor a preparation.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Literal

from medseg import studies
from medseg.errors import MedsegError

LabelKind = Literal["binary", "overlapping", "class_map"]


@dataclass(frozen=True)
class Training:
    """A notebook that trains."""

    stage: str  # its name without the ending, such as ``2_train``
    framework: str  # for a reader, such as ``PyTorch``
    #: Module that, run by ``python -m``, says what is wrong with sets of parameters; see
    #: :mod:`medseg.experiments.preflight`. Empty: nothing is checked before a sweep starts.
    checker: str
    predictor: str  # module with ``load_predictor(run, device, **options)``
    #: Module with ``write_onnx(run, path)`` and, of the framework's own format, ``write_own(run, path, describe)``; see
    #: :mod:`medseg.export.command`. Empty: its networks cannot be exported.
    exporter: str = ""


@dataclass(frozen=True)
class Study:
    """What the generic code has to know of a study."""

    name: str  # of its folders below ``lib/medseg/studies`` and ``notebooks``, and in records
    label: LabelKind  # one class, several that overlap, or a map of classes that exclude one another
    trainings: tuple[Training, ...]  # its training notebooks, the usual one first
    prepare: str  # function ``prepare(source, out)``, as ``module:function``
    sample: str = ""  # function that draws its raw sample into a folder, as ``module:function``; empty: there is none
    demo: tuple[str, ...] = ()  # sweep files (without ending) that the demo runs with their profile ``sample``
    #: Function ``read(path, frame, info)`` that reads a new picture as those are that the preparation writes, uint8 RGB
    #: (H, W, 3), or grey (H, W) where classes overlap; ``info`` is the ``dataset.json``, {} where it is gone. Empty: as
    #: :func:`medseg.datasets.images.read_picture` and :func:`medseg.datasets.dicom.read` give it.
    reader: str = ""
    set_named: str = ""  # function ``name(folder)``: of a public set, by the name of its folder, or None
    facts: tuple[str, ...] = ()  # columns of the index that evaluations take along into ``cases.csv``
    foreground: str = "foreground"  # what the classes of a class map are called together
    items: str = "pictures"  # what its pictures are called, in the plural
    groups: str = "patients"  # what its pictures are grouped by, in the plural: no group is in two splits

    def training(self, stage: str) -> Training:
        """The training notebook of this name; a :class:`MedsegError` where the study has none."""
        for training in self.trainings:
            if training.stage == stage:
                return training
        known = ", ".join(training.stage for training in self.trainings)
        raise MedsegError(f"The study {self.name} has no training notebook {stage!r}. It has: {known}.")


def names() -> list[str]:
    """Names of all studies, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(studies.__path__) if module.ispkg)


def find(name: str) -> Study:
    """The study of this name; a :class:`MedsegError` where there is none."""
    if name not in names():
        raise MedsegError(f"There is no study {name!r}. There are: {', '.join(names())}.")
    return importlib.import_module(f"medseg.studies.{name}.study").STUDY


def every() -> list[Study]:
    """All studies, by name."""
    return [find(name) for name in names()]
