"""Annotations of the gastric study that were corrected in CVAT, on their way back in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets import cvat
from medseg.datasets.folders import BadFile, CaseNames
from medseg.studies.gastric.labels import CLASSES, Lesion


@dataclass(frozen=True)
class Correction:
    """What an annotation file says of one picture, in place of its label."""

    file: str
    image: cvat.AnnotatedImage

    def lesion_for(self, size: tuple[int, int]) -> Lesion:
        """The lesion, for a picture of ``size`` (width, height).

        Raises:
            BadFile: the annotations are of a picture of another size, are faulty, have a label that is no phase, or
                several phases.
        """
        image = self.image
        if image.problem:
            raise BadFile(f"{self.file}: {image.problem}")
        if (image.width, image.height) != tuple(size):
            raise BadFile(
                f"{self.file}: annotated on a picture of {image.width} x {image.height} pixels, this one has "
                f"{size[0]} x {size[1]}"
            )
        labels = sorted({label.strip().casefold() for label, _ in image.shapes})
        unknown = [label for label in labels if label not in CLASSES]
        if unknown:
            raise BadFile(f"{self.file}: the label {unknown[0][:40]!r}, expected one of {', '.join(CLASSES)}")
        if len(labels) > 1:
            raise BadFile(f"{self.file}: shapes of {' and '.join(labels)}; a picture has one phase")
        phase = CLASSES.index(labels[0]) + 1 if labels else 0
        return Lesion(phase, tuple(geometry for _, geometry in image.shapes))


def read_corrections(path: Path, names: CaseNames, reject: Callable[[str, str], None]) -> dict[str, Correction]:
    """Corrections by case id; pictures that are not there, or there twice, are rejected.

    Raises:
        MedsegError: the file cannot be read as CVAT annotations.
    """
    found: dict[str, Correction] = {}
    for image in cvat.read(path):
        cases = names.find(image.name)
        case_id = cases[0] if cases else ""
        if len(cases) != 1:
            reject(f"{path.name}: {image.name}", "there is no such picture, or several patients have one of this name")
        elif case_id in found:
            twice = cvat.AnnotatedImage(image.name, image.width, image.height, problem="the picture is there twice")
            found[case_id] = Correction(path.name, twice)
        else:
            found[case_id] = Correction(path.name, image)
    return found
