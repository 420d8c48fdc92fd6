"""Augmentation said in Albumentations' names: geometric transforms that are affine, and changes of grey values.

A specification is the name of a preset, or transforms joined by `` + ``, each written as a call with literal keyword
arguments::

    RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5) + RandomGamma(gamma_limit=(80, 120))

All geometric transforms become one matrix, in their order; the grey values change after that, in theirs. Pictures are
interpolated linearly within a constant black border: reflected structures would need labels of their own.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation import affine, crops, tone
from medseg.datasets.augmentation.affine import AffineTransform, Frame
from medseg.datasets.augmentation.crops import CenterCrop, RandomScale
from medseg.datasets.augmentation.expression import Term, read_terms
from medseg.datasets.augmentation.tone import PictureTransform, TableTransform, ToneTransform
from medseg.errors import MedsegError
from medseg.names import did_you_mean

AFFINE = {kind.__name__: kind for kind in (*affine.TRANSFORMS, *crops.TRANSFORMS)}
TONE = {kind.__name__: kind for kind in tone.TRANSFORMS}

_NO_AFFINE_FORM = (
    "ElasticTransform", "GridDistortion", "OpticalDistortion", "ThinPlateSpline", "PiecewiseAffine", "Perspective",
    "GridElasticDeform", "RandomGridShuffle", "Morphological", "WaterRefraction",
)  # fmt: skip
_SETTLED = {
    "interpolation": "pictures are interpolated linearly",
    "mask_interpolation": "masks keep their values",
    "area_for_downscale": "pictures come from a cache that was averaged over areas",
    "border_mode": "the border is constant",
    "fill": "the border is black",
    "fill_mask": "the border belongs to no class",
    "rotate_method": "there are no boxes",
    "crop_border": "the frame stays as it is",
    "fit_output": "the frame stays as it is",
    "size": "the training resolution is a parameter of its own",
    "pad_if_needed": "a crop must fit",
    "brightness_by_max": "brightness is relative to 255",
    "ensure_safe_range": "values are clipped to 0 to 255",
    "per_channel": "noise is drawn for each channel",
    "by_channels": "each channel is equalised",
    "noise_scale_factor": "noise is drawn for each pixel",
}


class Transforms:
    """Transforms, ready to be drawn from; see :func:`read_transforms`.

    Attributes:
        geometric: the geometric transforms, in order.
        tonal: the transforms of grey values, in order.
    """

    def __init__(self, transforms: list[AffineTransform | ToneTransform]) -> None:
        self.geometric = [transform for transform in transforms if isinstance(transform, AffineTransform)]
        self.tonal = [transform for transform in transforms if isinstance(transform, ToneTransform)]

    def draw(self, rng: np.random.Generator, size: tuple[int, int], resolution: int) -> tuple[np.ndarray, Frame]:
        """Draw the geometric part.

        Args:
            rng: see :func:`medseg.datasets.augmentation.warp.generator`.
            size: (width, height) of the picture, in pixels; parameters in pixels are relative to it.
            resolution: side of the training picture, in pixels.

        Returns:
            float64 (3, 3), from continuous points (x, y, 1) of the picture to those of a frame, and the size of that
            frame, which is still to be brought to the resolution.
        """
        frame: Frame = size
        matrix = np.eye(3)
        for transform in self.geometric:
            if rng.random() < transform.p:
                step, frame = transform.step(rng, frame, resolution)
                matrix = step @ matrix
        return matrix, frame

    def tone(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw and apply the tonal part: uint8 (R, R), or (R, R, 3), to the same, which may be the same array."""
        table = None
        for transform in self.tonal:
            if rng.random() >= transform.p:
                continue
            if isinstance(transform, TableTransform):
                table = np.clip(transform.values(np.arange(256.0) if table is None else table, rng), 0, 255)
            elif isinstance(transform, PictureTransform):
                picture = transform.picture(_mapped(picture, table), rng)
                table = None
        return _mapped(picture, table)

    def zoom(self, size: tuple[int, int]) -> float:
        """Greatest usual magnification over the plain resize of a picture of ``size`` (width, height), at least 1."""
        zoom = 1.0
        for transform in self.geometric:
            zoom *= transform.zoom(size)
        return zoom


def read_transforms(specification: str, presets: Mapping[str, str]) -> list[AffineTransform | ToneTransform]:
    """Read a specification.

    Args:
        specification: a name of ``presets`` or transforms, as this module describes.
        presets: specifications by name.

    Raises:
        MedsegError: an unknown transform or parameter (with the nearest), a value of the wrong kind or range, or a
            transform that has no affine form or no effect.
    """
    how = (
        f"Write one of the presets {', '.join(presets)}, or transforms joined by ' + ', such as "
        "'RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5)'."
    )
    transforms: list[AffineTransform | ToneTransform] = []
    for term in read_terms(specification, presets, how):
        if term.arguments is None:
            raise MedsegError(
                f"There is no augmentation {specification!r}: {term.name!r} is neither a preset nor a transform with "
                "its parentheses."
                f"{did_you_mean(term.name, [*presets, *AFFINE, *TONE])} {how}"
            )
        transforms.append(_transform(term, term.arguments))
    _check_scales(transforms)
    return transforms


def _transform(term: Term, arguments: dict[str, Any]) -> AffineTransform | ToneTransform:
    name, kind = term.name, _kind(term.name)
    known = [field.name for field in fields(kind)]
    for parameter in arguments:
        if parameter in _SETTLED and parameter not in known:
            raise MedsegError(f"{name}({parameter}=...) cannot be chosen here: {_SETTLED[parameter]}. Leave it out.")
        if parameter not in known:
            raise MedsegError(
                f"{name} has no parameter {parameter!r}.{did_you_mean(parameter, known)} It has {', '.join(known)}."
            )
    try:
        return kind(**arguments)
    except TypeError as error:  # only missing parameters are left
        raise MedsegError(f"{name} needs more parameters: {error}.") from error


def _kind(name: str) -> type[AffineTransform] | type[ToneTransform]:
    kind = AFFINE.get(name) or TONE.get(name)
    if kind is None:
        offered = f"Those that have one: {', '.join(AFFINE)}. On grey values: {', '.join(TONE)}."
        if name in _NO_AFFINE_FORM:
            raise MedsegError(f"{name} has no affine form and cannot move labels exactly. {offered}")
        raise MedsegError(
            f"There is no transform {name!r} here.{did_you_mean(name, [*AFFINE, *TONE])} Transforms must have an "
            f"affine form or change grey values alone. {offered}"
        )
    return kind


def _check_scales(transforms: list[AffineTransform | ToneTransform]) -> None:
    for position, transform in enumerate(transforms):
        crops_follow = any(isinstance(later, CenterCrop) for later in transforms[position:])
        if isinstance(transform, RandomScale) and not crops_follow:
            raise MedsegError(
                "RandomScale changes nothing unless RandomCrop or CenterCrop follows: the picture is resized to the "
                "training resolution in the end. To vary the size of what is shown write "
                "Affine(scale=(0.9, 1.1), keep_ratio=True)."
            )


def _mapped(picture: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    return picture if table is None else cv2.LUT(picture, np.rint(table).astype(np.uint8))
