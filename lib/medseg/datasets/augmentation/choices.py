"""One of several transforms, drawn by chance, and the plain resize that may stand among them.

As Albumentations' ``OneOf``: it happens with probability ``p``, and then exactly one member does, each as likely as its
own ``p`` says relative to those of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from medseg.datasets.augmentation.affine import AffineTransform
from medseg.datasets.augmentation.ranges import Transform
from medseg.datasets.augmentation.tone import PictureTransform, TableTransform, ToneTransform
from medseg.errors import MedsegError


@dataclass(frozen=True)
class Resize(AffineTransform):
    """Leaves the whole picture, which is brought to the training resolution in the end."""

    p: float = 1.0

    def step(self, rng, frame, resolution):
        return np.eye(3), frame


@dataclass(frozen=True)
class OneOfAffine(AffineTransform):
    """One of several geometric transforms."""

    transforms: tuple[AffineTransform, ...] = ()
    p: float = 0.5

    @property
    def mirrors(self) -> bool:  # type: ignore[override]
        return any(one.mirrors and one.p > 0 for one in self.transforms)

    def step(self, rng, frame, resolution):
        return _one_of(self.transforms, rng).step(rng, frame, resolution)

    def zoom(self, frame):
        return max(one.zoom(frame) for one in self.transforms)


@dataclass(frozen=True)
class OneOfTone(PictureTransform):
    """One of several changes of grey values."""

    transforms: tuple[ToneTransform, ...] = ()
    p: float = 0.5

    def picture(self, picture, rng):
        chosen = _one_of(self.transforms, rng)
        if isinstance(chosen, TableTransform):
            return cv2.LUT(picture, np.rint(np.clip(chosen.values(np.arange(256.0), rng), 0, 255)).astype(np.uint8))
        return chosen.picture(picture, rng)


def one_of(transforms: Sequence[Transform], p: float) -> AffineTransform | ToneTransform:
    """One of ``transforms``, with probability ``p``.

    Raises MedsegError: there are fewer than two, none can be chosen, or some move pixels and others change grey values.
    """
    if len(transforms) < 2:
        raise MedsegError(f"OneOf chooses among at least two transforms, got {len(transforms)}.")
    if not sum(one.p for one in transforms):
        raise MedsegError("OneOf weighs its transforms by their p, and all of them have 0.")
    affine = tuple(one for one in transforms if isinstance(one, AffineTransform))
    tonal = tuple(one for one in transforms if isinstance(one, ToneTransform))
    if affine and tonal:
        raise MedsegError(
            f"OneOf mixes {type(affine[0]).__name__}, which moves pixels, with {type(tonal[0]).__name__}, which "
            "changes grey values. Pixels move first and all at once here: write one OneOf for each kind."
        )
    return OneOfAffine(affine, p) if affine else OneOfTone(tonal, p)


def _one_of(transforms, rng):
    weights = np.array([one.p for one in transforms], float)
    return transforms[rng.choice(len(transforms), p=weights / weights.sum())]
