"""Augmentation said in Albumentations' names: geometric transforms that are affine, and changes of grey values.

A specification is a preset's name, or transforms joined by `` + ``, each a call with literal keyword arguments::

    RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5) + RandomGamma(gamma_limit=(80, 120))
    OneOf([Resize(p=0.5), RandomResizedCrop(p=0.5)], p=1.0) + OneOf([Blur(), CLAHE()], p=0.3)

All geometric transforms become one matrix, in their order; the grey values change after that, in theirs. Pictures are
interpolated linearly within a constant black border: reflected structures would need labels of their own.
"""

import ast
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation import affine, crops, tone
from medseg.datasets.augmentation.affine import AffineTransform, Frame
from medseg.datasets.augmentation.choices import Resize, one_of
from medseg.datasets.augmentation.crops import CenterCrop, RandomScale
from medseg.datasets.augmentation.ranges import number
from medseg.datasets.augmentation.tone import PictureTransform, TableTransform, ToneTransform
from medseg.errors import MedsegError
from medseg.names import did_you_mean

AFFINE = {kind.__name__: kind for kind in (*affine.TRANSFORMS, *crops.TRANSFORMS, Resize)}
TONE = {kind.__name__: kind for kind in tone.TRANSFORMS}
ONE_OF = "OneOf"

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
    **dict.fromkeys(("size", "height", "width"), "the training resolution is a parameter of its own"),
    "pad_if_needed": "a crop must fit",
    "brightness_by_max": "brightness is relative to 255",
    "ensure_safe_range": "values are clipped to 0 to 255",
    "per_channel": "noise is drawn for each channel",
    "by_channels": "each channel is equalised",
    "noise_scale_factor": "noise is drawn for each pixel",
}


class Transforms:
    """Transforms, ready to be drawn from: those that are ``geometric`` and those of grey values, each in order."""

    def __init__(self, transforms: list[AffineTransform | ToneTransform]) -> None:
        self.geometric = [transform for transform in transforms if isinstance(transform, AffineTransform)]
        self.tonal = [transform for transform in transforms if isinstance(transform, ToneTransform)]

    def draw(self, rng: np.random.Generator, size: tuple[int, int], resolution: int) -> tuple[np.ndarray, Frame]:
        """Draw the geometric part; for ``rng`` see :func:`medseg.datasets.augmentation.warp.generator`.

        ``size`` is (width, height) of the picture, in pixels, to which parameters in pixels are relative;
        ``resolution`` the side of the training picture. Gives float64 (3, 3), from continuous points (x, y, 1) of the
        picture to those of a frame, and the size of that frame, which is still to be brought to the resolution.
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
        return math.prod(transform.zoom(size) for transform in self.geometric)


def read_transforms(specification: str, presets: Mapping[str, str]) -> list[AffineTransform | ToneTransform]:
    """Read a specification; ``presets`` are specifications by name.

    Raises MedsegError: an unknown transform or parameter (with the nearest), a value of the wrong kind or range, or a
    transform that has no affine form or no effect.
    """
    how = (
        f"Write one of the presets {', '.join(presets)}, or transforms joined by ' + ', such as "
        "'RandomResizedCrop(scale=(0.8, 1.0)) + Rotate(limit=10, p=0.5)'."
    )
    transforms: list[AffineTransform | ToneTransform] = []
    for name, arguments in read_terms(specification, presets, how):
        if arguments is None:
            raise MedsegError(
                f"There is no augmentation {specification!r}: {name!r} is neither a preset nor a transform with "
                f"its parentheses.{did_you_mean(name, [*presets, *AFFINE, *TONE, ONE_OF])} {how}"
            )
        transforms.append(_transform(name, arguments))
    for position, transform in enumerate(transforms):
        crops_follow = any(isinstance(later, CenterCrop) for later in transforms[position:])
        members = getattr(transform, "transforms", (transform,))
        if any(isinstance(one, RandomScale) for one in members) and not crops_follow:
            raise MedsegError(
                "RandomScale changes nothing unless RandomCrop or CenterCrop follows: the picture is resized to the "
                "training resolution in the end. To vary the size of what is shown write "
                "Affine(scale=(0.9, 1.1), keep_ratio=True)."
            )
    return transforms


def read_terms(specification: str, presets: Mapping[str, str], how: str) -> list[tuple[str, dict[str, Any] | None]]:
    """Name and keyword arguments (None for a bare name, without parentheses) of each term of a specification.

    A name of ``presets`` stands for its specification; ``how``, a sentence that says how to write it, ends messages.
    Raises MedsegError: it is no such expression, an argument has no name or is no literal, or is there twice.
    """
    written = presets.get(specification.strip(), specification.strip())
    if not written:
        return []
    try:
        tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MedsegError(f"The augmentation {specification!r} cannot be read: {error}. {how}") from error
    terms = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):  # a + b + c is (a + b) + c
        terms.append(tree.right)
        tree = tree.left
    return [_term(term, specification, how) for term in (tree, *terms[::-1])]


def _term(term: ast.expr, specification: str, how: str) -> tuple[str, dict[str, Any] | None]:
    if isinstance(term, ast.Name):
        return term.id, None
    if not (isinstance(term, ast.Call) and isinstance(term.func, ast.Name)):
        raise MedsegError(f"{ast.unparse(term)!r} in the augmentation {specification!r} is not a transform. {how}")
    name, positional = term.func.id, term.args
    values: dict[str, Any] = {}
    if name == ONE_OF and len(positional) == 1 and isinstance(positional[0], ast.List | ast.Tuple):
        values["transforms"] = [_term(member, specification, how) for member in positional[0].elts]
        positional = []
    for keyword in (*positional, *term.keywords):
        if not isinstance(keyword, ast.keyword) or keyword.arg is None:
            raise MedsegError(f"{name} takes its parameters by name, as in Rotate(limit=10, p=0.5).")
        if keyword.arg in values:
            raise MedsegError(f"{name} has {keyword.arg!r} twice.")
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            raise MedsegError(
                f"{name}({keyword.arg}={ast.unparse(keyword.value)}) is not a plain value; write numbers, pairs or "
                "True and False."
            ) from error
    return name, values


def _transform(name: str, arguments: dict[str, Any] | None) -> AffineTransform | ToneTransform:
    if arguments is None:
        raise MedsegError(f"{name!r} stands without parentheses; write {name}().")
    if name == ONE_OF:
        if set(arguments) - {"transforms", "p"} or not isinstance(arguments.get("transforms"), list):
            raise MedsegError("OneOf takes a list of transforms and p, as in OneOf([Blur(), CLAHE()], p=0.5).")
        p = number(arguments.get("p", 0.5), "OneOf(p=...)", 0, 1)
        return one_of([_transform(*member) for member in arguments["transforms"]], p)
    kind = AFFINE.get(name) or TONE.get(name)
    if kind is None:
        offered = f"Those that have one: {', '.join(AFFINE)}. On grey values: {', '.join(TONE)}."
        if name in _NO_AFFINE_FORM:
            raise MedsegError(f"{name} has no affine form and cannot move labels exactly. {offered}")
        raise MedsegError(
            f"There is no transform {name!r} here.{did_you_mean(name, [*AFFINE, *TONE, ONE_OF])} Transforms must have "
            f"an affine form or change grey values alone. {offered}"
        )
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


def _mapped(picture: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    return picture if table is None else cv2.LUT(picture, np.rint(table).astype(np.uint8))
