"""Views of a picture, for test-time augmentation: mirrored, or larger."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from medseg.errors import MedsegError

FLIP = "flip"
_SCALES = (0.25, 4.0)


@dataclass(frozen=True)
class View:
    """One way to see a picture, for test-time augmentation."""

    scale: float  # magnification over the size at which the network was trained
    flipped: bool  # left and right are exchanged


AS_IT_IS = (View(1.0, False),)


def views(names: Sequence[str]) -> list[View]:
    """The views that ``names`` ask for, the picture as it is first; their probabilities are averaged with equal weight.

    They may hold ``flip`` for a left-right mirrored copy of every view, and magnifications such as ``1.5`` that stand
    beside 1; a :class:`MedsegError` where a name is neither.
    """
    scales, flipped = [1.0], [False]
    for name in map(str, names):
        if name.strip().lower() == FLIP:
            flipped = [False, True]
            continue
        try:
            scale = float(name)
        except ValueError:
            scale = 0.0
        if not _SCALES[0] <= scale <= _SCALES[1]:
            raise MedsegError(
                f"tta holds {name!r}; expected {FLIP!r} and magnifications from {_SCALES[0]:g} to {_SCALES[1]:g} such "
                "as '1.5'."
            )
        if scale not in scales:
            scales.append(scale)
    return [View(scale, flip) for scale, flip in product(scales, flipped)]
