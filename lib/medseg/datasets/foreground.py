"""Which pixels of a mask are foreground: above half of white, by class value, or by the index of a palette."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from medseg.datasets.folders import BadFile
from medseg.datasets.images import ReadMask, read_mask
from medseg.errors import MedsegError
from medseg.names import joined

THRESHOLD = 127
CLEANING_RULE = f"polyp where the 8-bit value > {THRESHOLD}; a mask without a value above 1: polyp where 1"
VOID = 255  # of PASCAL VOC and its followers: pixels that belong to no class, for certain

_FEW = 16  # different values; noise and soft edges bring more
_NOISE = 32  # of compression, around black


@dataclass(frozen=True)
class CleanedMask:
    """One mask before and after cleaning.

    Attributes:
        before, after: uint8 (height, width), the values as they were, and 0 or 255.
        impure: bool (height, width), where ``before`` was neither 0 nor 255.
    """

    before: np.ndarray
    after: np.ndarray
    impure: np.ndarray


def rule(foreground: Sequence[int]) -> str:
    """In words what :func:`cleaned` does."""
    if not foreground:
        return CLEANING_RULE
    return f"polyp where the mask has the value {' or '.join(map(str, foreground))}"


def check(foreground: Sequence[int]) -> None:
    """MedsegError where ``foreground`` are no values of classes."""
    if wrong := [value for value in foreground if not 0 < value <= 255]:
        raise MedsegError(f"foreground holds {wrong[0]}; expected values of the masks from 1 to 255, or none.")


def cleaned(mask: ReadMask, foreground: Sequence[int] = ()) -> np.ndarray:
    """The foreground of a mask: uint8 (height, width) of 0 and 255.

    With ``foreground`` it is where the mask has one of these values, of grey values or of a palette's indices. Without:
    of a palette with colours every index above 0 but :data:`VOID`, else :data:`CLEANING_RULE`. Raises BadFile: that
    cannot be said, as the values look like classes of which nobody said which are foreground, or the reverse.
    """
    values, present = mask.values, classes(mask)
    if foreground:
        if not mask.exact or mask.kind == "colour":
            what = "a JPEG, whose compression changes values" if not mask.exact else "in colours, not in class values"
            raise BadFile(f"the mask is {what}, so that foreground ({_listed(foreground)}) cannot be looked up in it")
        return np.isin(values, list(foreground)) * np.uint8(255)
    if mask.kind == "index":
        if not mask.black_is_first:
            raise BadFile(f"the mask has a palette of colours whose first is not black; {_advice(present)}")
        void = VOID if set(present) - {VOID} else 0
        return ((values > 0) & (values != void)) * np.uint8(255)
    _refuse_classes(mask, present)
    return clean_mask(values)


def clean_mask(values: np.ndarray) -> np.ndarray:
    """Apply :data:`CLEANING_RULE` to uint8 (height, width), giving 0 or 255."""
    polyp = values > (THRESHOLD if values.max(initial=0) > 1 else 0)
    return polyp.astype(np.uint8) * 255


def classes(mask: ReadMask) -> list[int]:
    """The values of a mask but 0, ascending."""
    return [value for value in np.unique(mask.values).tolist() if value]


def before_after(mask: Path, foreground: Sequence[int] = ()) -> CleanedMask:
    """What cleaning does to one mask file, for a figure; BadFile as :func:`cleaned`."""
    read = read_mask(Path(mask))
    before, after = read.values, cleaned(read, foreground)
    if foreground or read.kind == "index":
        before = (before > 0) * np.uint8(255)
        return CleanedMask(before, after, before != after)
    return CleanedMask(before, after, (before != 0) & (before != 255))


def _refuse_classes(mask: ReadMask, present: list[int]) -> None:
    """BadFile where grey values or colours are classes rather than black, white and what lies between at an edge."""
    dark = [value for value in present if value <= THRESHOLD]
    if not dark or present == [1]:
        return
    if max(present) <= THRESHOLD and max(present) > (0 if mask.exact else _NOISE):
        found = _advice(present) if mask.exact else f"its highest value is {max(present)}, as of classes in a JPEG"
        raise BadFile(f"the mask holds no white: {found}")
    if not mask.exact or len(present) > _FEW:
        return
    # Beside white, what is nearly black is noise: CVC-ClinicDB has 11 over parts of its borders. Not so 1, 2 ... k.
    numbered = dark == list(range(1, len(dark) + 1))
    suspicious = [value for value in dark if value > _NOISE or numbered]
    if any(_has_area(mask.values == value) for value in suspicious):
        raise BadFile(f"the mask has areas that are neither black nor white; {_advice(present)}")


def _has_area(where: np.ndarray) -> bool:
    """Whether a region is anywhere three pixels wide and high, as soft edges are not."""
    return bool(cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).any())


def _advice(present: Sequence[int]) -> str:
    return (
        f"it holds the values {_listed([0, *present])}, which may be classes. Say which are polyp, such as "
        f"foreground=[{present[0]}]; several are separated by commas"
    )


def _listed(values: Sequence[int]) -> str:
    return joined(values) if len(values) <= _FEW else f"{joined(values[:_FEW])} and {len(values) - _FEW} more"
