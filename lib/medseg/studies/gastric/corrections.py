"""Annotations of pictures of the gastric study that were corrected in CVAT."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets import cvat
from medseg.datasets.folders import BadFile, CaseNames
from medseg.datasets.shapes import AnnotatedImage
from medseg.names import loose
from medseg.studies.gastric.labels import CLASSES, Lesion

_FRAME = re.compile(r"(.+)-f[0-9]{4,}")


@dataclass(frozen=True)
class Correction:
    """What an annotation file says of one picture, in place of its label."""

    file: str
    image: AnnotatedImage

    def lesion_for(self, size: tuple[int, int]) -> Lesion:
        """The lesion, for a picture of ``size`` (width, height).

        Raises BadFile: annotated on another size, faulty, a label that is no phase, or several phases.
        """
        image = self.image
        if image.problem:
            raise BadFile(f"{self.file}: {image.problem}")
        if image.size and image.size != tuple(size):
            raise BadFile(
                f"{self.file}: annotated on a picture of {image.width} x {image.height} pixels, this one has "
                f"{size[0]} x {size[1]}"
            )
        place = {loose(name): number for number, name in enumerate(CLASSES, 1)}
        labels = sorted({label.strip() for label, _ in image.shapes})
        if unknown := [label for label in labels if loose(label) not in place]:
            raise BadFile(f"{self.file}: the label {unknown[0][:40]!r}, expected one of {', '.join(CLASSES)}")
        found = sorted({place[loose(label)] for label in labels})
        if len(found) > 1:
            several = " and ".join(CLASSES[phase - 1] for phase in found)
            raise BadFile(f"{self.file}: shapes of {several}; a picture has one phase")
        phase = found[0] if found else 0
        return Lesion(phase, tuple(geometry for _, geometry in image.shapes))


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
