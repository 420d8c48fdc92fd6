"""Annotations of pictures of the gastric study that were corrected in CVAT."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets import cvat
from medseg.datasets.folders import BadFile, CaseNames
from medseg.datasets.shapes import AnnotatedImage
from medseg.names import joined, listed, loose
from medseg.studies.gastric.labels import Lesion

_FRAME = re.compile(r"(.+)-f[0-9]{4,}")


@dataclass(frozen=True)
class Correction:
    """What an annotation file says of one picture, in place of its label."""

    file: str
    image: AnnotatedImage

    def lesion_for(self, size: tuple[int, int], classes: Sequence[str], single: bool) -> Lesion:
        """The lesion, for a picture of ``size`` (width, height); see :func:`lesion_of`."""
        try:
            return lesion_of(self.image, size, classes, single)
        except BadFile as error:
            raise BadFile(f"{self.file}: {error.reason}") from error


def lesion_of(image: AnnotatedImage, size: tuple[int, int], classes: Sequence[str], single: bool = False) -> Lesion:
    """What an annotation file says of a picture of ``size`` (width, height), in ``classes``; ``single``: one a picture.

    Labels are compared by :func:`medseg.names.loose`. Raises BadFile: annotated on another size, faulty, a label that
    is none of the classes, or several classes in a picture that has one.
    """
    if fault := image.problem or next(iter(image.faults), ""):
        raise BadFile(fault)
    if image.size and image.size != tuple(size):
        raise BadFile(
            f"annotated on a picture of {image.width} x {image.height} pixels, this one has {size[0]} x {size[1]}"
        )
    place = {loose(name): number for number, name in enumerate(classes, 1)}
    if unknown := sorted({label.strip() for label, _ in image.shapes if loose(label) not in place}):
        raise BadFile(f"the label {unknown[0][:40]!r}, expected one of {listed(classes)}")
    shapes = [(place[loose(label)], shape) for label, shape in image.shapes]
    found = sorted({number for number, _ in shapes})
    if single and len(found) > 1:
        raise BadFile(f"shapes of {joined(classes[number - 1] for number in found)}; a picture has one phase")
    return Lesion.of(shapes)


def read_corrections(path: Path, names: CaseNames, reject: Callable[[str, str], None]) -> dict[str, Correction]:
    """Corrections by case id; pictures that are not there, or there twice, are rejected.

    Raises MedsegError: the file cannot be read as CVAT annotations.
    """
    found: dict[str, Correction] = {}
    strange: dict[str, list[str]] = {}  # frames by their video
    for image in cvat.read(path):
        cases = names.find(image.name)
        if len(cases) != 1:
            video = _FRAME.fullmatch(image.name)
            strange.setdefault(video[1] if video else image.name, []).append(image.name)
            continue
        if cases[0] in found:
            image.problem = "the picture is there twice"
        found[cases[0]] = Correction(path.name, image)
    for name, images in strange.items():
        reason = "there is no such picture, or several patients have one of this name"
        reject(f"{path.name}: {name}", reason + (f" ({len(images)} frames)" if images[1:] else ""))
    return found
