"""Augmentation of a picture with its polygons, said in Albumentations' names and done in polygon space.

A specification is the name of a preset, or transforms joined by `` + ``, each written as a call with literal keyword
arguments::

    RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5) + RandomGamma(gamma_limit=(80, 120))

All geometric transforms become one matrix, in their order; the grey values change after that, in theirs. Pictures are
interpolated linearly within a constant black border: reflected structures would need polygons of their own.
"""

import ast
import difflib
from dataclasses import fields
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation import affine as augment_affine
from medseg.datasets.augmentation import crops as augment_crops
from medseg.datasets.augmentation import tone as augment_tone
from medseg.datasets.augmentation.affine import AffineTransform
from medseg.datasets.augmentation.crops import CenterCrop, RandomScale
from medseg.datasets.augmentation.tone import TableTransform, ToneTransform
from medseg.datasets.picture_cache import fit_matrix
from medseg.errors import MedsegError

_CROP = "RandomResizedCrop(scale=(0.8, 1.0))"
_CROP_ROTATE = f"{_CROP} + Rotate(limit=10, p=0.5)"
PRESETS = {
    "none": "",
    "base": "",
    "crop": _CROP,
    "crop_rotate": _CROP_ROTATE,
    "intensity": f"{_CROP_ROTATE} + RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5)"
    " + RandomGamma(gamma_limit=(80, 120), p=0.5) + GaussNoise(std_range=(0.01, 0.05), p=0.3)",
}
"""Specifications by name. ``base`` is the published one: the plain resize, as ``none``."""

AFFINE = {kind.__name__: kind for kind in (*augment_affine.TRANSFORMS, *augment_crops.TRANSFORMS)}
TONE = {kind.__name__: kind for kind in augment_tone.TRANSFORMS}

_NO_AFFINE_FORM = (
    "ElasticTransform", "GridDistortion", "OpticalDistortion", "ThinPlateSpline", "PiecewiseAffine", "Perspective",
    "GridElasticDeform", "RandomGridShuffle", "Morphological", "WaterRefraction",
)  # fmt: skip
_SETTLED = {
    "interpolation": "pictures are interpolated linearly",
    "mask_interpolation": "masks are drawn from the moved polygons",
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
    "per_channel": "the picture is grey",
    "by_channels": "the picture is grey",
    "noise_scale_factor": "noise is drawn for each pixel",
}


class PolygonAugmentation:
    """An augmentation, ready to be drawn from; see :func:`parse_augmentation`.

    Attributes:
        specification: the transforms written out, presets resolved; empty for the plain resize.
        geometric: the geometric transforms, in order.
        tonal: the transforms of grey values, in order.
    """

    def __init__(self, specification: str, transforms: list[AffineTransform | ToneTransform]) -> None:
        self.specification = specification
        self.geometric = [transform for transform in transforms if isinstance(transform, AffineTransform)]
        self.tonal = [transform for transform in transforms if isinstance(transform, ToneTransform)]

    def matrix(self, rng: np.random.Generator, size: tuple[int, int], resolution: int) -> np.ndarray:
        """Draw the geometric part.

        Args:
            rng: see :func:`medseg.datasets.augmentation.warp.generator`.
            size: (width, height) of the picture, in pixels; parameters in pixels are relative to it.
            resolution: side of the training picture, in pixels.

        Returns:
            float64 (2, 3), from continuous points (x, y, 1) of the picture to those of the training picture. What no
            crop has made square is fitted as by :func:`medseg.datasets.picture_cache.fit_matrix`.
        """
        frame, matrix = size, np.eye(3)
        for transform in self.geometric:
            if rng.random() < transform.p:
                step, frame = transform.step(rng, frame, resolution)
                matrix = step @ matrix
        if frame == (resolution, resolution):
            return matrix[:2]
        fit = fit_matrix((max(1, round(frame[0])), max(1, round(frame[1]))), resolution)
        return fit[:, :2] @ matrix[:2]

    def tone(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw and apply the tonal part: uint8 (R, R) to uint8 (R, R), which may be the same array."""
        table = None
        for transform in self.tonal:
            if rng.random() >= transform.p:
                continue
            if isinstance(transform, TableTransform):
                table = np.clip(transform.values(np.arange(256.0) if table is None else table, rng), 0, 255)
            else:
                picture = transform.picture(_mapped(picture, table), rng)
                table = None
        return _mapped(picture, table)

    def zoom(self, size: tuple[int, int]) -> float:
        """Greatest usual magnification over the plain resize of a picture of ``size`` (width, height), at least 1."""
        zoom = 1.0
        for transform in self.geometric:
            zoom *= transform.zoom(size)
        return zoom


def parse_augmentation(specification: str, *, side_is_predicted: bool = False) -> PolygonAugmentation:
    """Read a specification.

    Args:
        specification: a preset or transforms, as this module describes.
        side_is_predicted: whether the model also tells left hands from right ones; mirroring is then refused.

    Raises:
        MedsegError: an unknown transform or parameter (with the nearest), a value of the wrong kind or range, a
            transform that has no affine form or no effect, or a mirroring one where the side is predicted.
    """
    written = PRESETS.get(specification.strip(), specification.strip())
    try:
        tree = ast.parse(written or "()", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MedsegError(f"{_quoted(specification)} cannot be read: {error}. {_HOW}") from error
    terms = [] if not written else _terms(tree)
    transforms = [_transform(term, specification) for term in terms]
    _check_scales(transforms)
    mirrors = [type(t).__name__ for t in transforms if isinstance(t, AffineTransform) and t.mirrors and t.p > 0]
    if side_is_predicted and mirrors:
        raise MedsegError(
            f"{' and '.join(mirrors)} would turn left hands into right ones while the model predicts the side. Take "
            "them out of the augmentation, or switch the prediction of the side off."
        )
    return PolygonAugmentation(written, transforms)


_HOW = (
    f"Write one of the presets {', '.join(PRESETS)}, or transforms joined by ' + ', such as "
    "'RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5)'."
)


def _terms(tree: ast.expr) -> list[ast.expr]:
    terms = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):  # a + b + c is (a + b) + c
        terms.append(tree.right)
        tree = tree.left
    return [tree, *terms[::-1]]


def _transform(term: ast.expr, specification: str) -> AffineTransform | ToneTransform:
    if isinstance(term, ast.Name):
        raise MedsegError(
            f"{term.id!r} is neither a preset nor a transform with its parentheses."
            f"{_nearest(term.id, [*PRESETS, *AFFINE, *TONE])} {_HOW}"
        )
    if not (isinstance(term, ast.Call) and isinstance(term.func, ast.Name)):
        raise MedsegError(f"{ast.unparse(term)!r} in {_quoted(specification)} is not a transform. {_HOW}")
    name = term.func.id
    kind = _kind(name)
    if term.args or any(keyword.arg is None for keyword in term.keywords):
        raise MedsegError(f"{name} takes its parameters by name, as in Rotate(limit=10, p=0.5).")
    known = [field.name for field in fields(kind)]
    values: dict[str, Any] = {}
    for keyword in term.keywords:
        if keyword.arg in values:
            raise MedsegError(f"{name} has {keyword.arg!r} twice.")
        if keyword.arg in _SETTLED and keyword.arg not in known:
            raise MedsegError(
                f"{name}({keyword.arg}=...) cannot be chosen here: {_SETTLED[keyword.arg]}. Leave it out."
            )
        if keyword.arg not in known:
            raise MedsegError(
                f"{name} has no parameter {keyword.arg!r}.{_nearest(keyword.arg, known)} It has {', '.join(known)}."
            )
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            raise MedsegError(
                f"{name}({keyword.arg}={ast.unparse(keyword.value)}) is not a plain value; write numbers, pairs or "
                "True and False."
            ) from error
    try:
        return kind(**values)
    except TypeError as error:  # only missing parameters are left
        raise MedsegError(f"{name} needs more parameters: {error}.") from error


def _kind(name: str) -> type[AffineTransform] | type[ToneTransform]:
    kind = AFFINE.get(name) or TONE.get(name)
    if kind is None:
        offered = f"Those that have one: {', '.join(AFFINE)}. On grey values: {', '.join(TONE)}."
        if name in _NO_AFFINE_FORM:
            raise MedsegError(f"{name} has no affine form and cannot move polygons exactly. {offered}")
        raise MedsegError(
            f"There is no transform {name!r} here.{_nearest(name, [*AFFINE, *TONE])} Transforms must have an affine "
            f"form or change grey values alone. {offered}"
        )
    return kind


def _check_scales(transforms: list[AffineTransform | ToneTransform]) -> None:
    for position, transform in enumerate(transforms):
        crops_follow = any(isinstance(later, CenterCrop) for later in transforms[position:])
        if isinstance(transform, RandomScale) and not crops_follow:
            raise MedsegError(
                "RandomScale changes nothing unless RandomCrop or CenterCrop follows: the picture is resized to the "
                "training resolution in the end. To vary the size of the hand write "
                "Affine(scale=(0.9, 1.1), keep_ratio=True)."
            )


def _mapped(picture: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    return picture if table is None else cv2.LUT(picture, np.rint(table).astype(np.uint8))


def _nearest(name: str, known: list[str]) -> str:
    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def _quoted(specification: str) -> str:
    return f"The augmentation {specification!r}"
