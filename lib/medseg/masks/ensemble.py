"""Ensembles of submissions: the models vote on every pixel, without a mask ever being decoded.

The runs of all models for one picture and class are cut at every start and end. Between two cuts each model is either
in or out, so that one decision holds for the whole stretch; the memory is that of a few rows of text, whatever the
size of the masks and the number of pictures.

Rules, for a pixel that the models in favour have set:

- ``majority``: more than half of the models. An even split is not set, and an empty mask is a vote against.
- ``weighted``: the weights of the models in favour, of this class, exceed half of the sum of all weights.
- ``mean``: the weighted mean of the masks (equal weights unless given) exceeds ``threshold``.
- ``intersection``: all models.

Weights are compared exactly, as the decimal numbers that they read as: 0.1 + 0.2 against 0.3 is a tie, and not set.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import cache
from math import isfinite
from pathlib import Path

import numpy as np

from medseg import project
from medseg.errors import MedsegError
from medseg.masks import rle, submission

RULES = ("majority", "weighted", "mean", "intersection")
MAX_MODELS = 62
"""Models whose votes fit into the bits of an int64."""

Weights = Sequence[float | Mapping[str, float]]


def combine(
    paths: Sequence[Path],
    out: Path,
    rule: str = "majority",
    weights: Weights | None = None,
    shape: tuple[int, int] = (2048, 2048),
    threshold: float = 0.5,
) -> None:
    """Combine submissions into one, whose rows stand in the order of the first.

    Raises MedsegError: an unknown rule, weights that are missing, superfluous, no numbers or all 0 for a class, a file
    that lacks a mask which another holds, or a malformed row; the message names file, mask or line.

    Args:
        paths: submissions (see :mod:`medseg.masks.submission`) with the same pictures and classes, in any order.
        out: submission to write.
        rule: one of :data:`RULES`.
        weights: for ``weighted`` (required) and ``mean``: for each path a number for all classes, or one for each
            class by name, such as its validation Dice; not negative.
        shape: (H, W) of the masks, which every run has to fit into.
        threshold: for ``mean``, in [0, 1).
    """
    _check(len(paths), rule, weights, threshold)

    @cache
    def vote(class_name: str) -> Callable[[np.ndarray], np.ndarray]:
        return _decider(rule, _of_class(class_name, weights, len(paths)), threshold)

    with ExitStack() as stack:
        submissions = [stack.enter_context(submission.Submission(path)) for path in paths]
        submission.check_same_masks(submissions)
        combined = (
            (*names, rle.text(combine_runs([_runs(one, names, shape) for one in submissions], vote(names[1]))))
            for names in submissions[0].places
        )
        submission.write(out, combined)


def combine_runs(masks: Sequence[np.ndarray], decide: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Combine the runs of one mask by several models: int64 (n, 2), ascending; no two runs touch.

    ``masks`` are for each model int64 (n, 2), as :func:`medseg.masks.rle.runs` gives them. ``decide`` leads from int64
    patterns (k,), in which bit m says that model m has set the pixel, to bool (k,): whether the pixel is set. The
    pattern 0 must not be.
    """
    edges = np.concatenate([side for runs in masks for side in (runs[:, 0], runs[:, 0] + runs[:, 1])])
    flips = np.repeat(np.left_shift(1, np.arange(len(masks))), [2 * len(runs) for runs in masks])
    order = np.argsort(edges, kind="stable")
    edges, patterns = edges[order], np.bitwise_xor.accumulate(flips[order])
    last = np.flatnonzero(np.append(edges[1:] != edges[:-1], True)[: edges.size])  # several models may change at once
    chosen = decide(patterns[last])
    turns = np.flatnonzero(chosen != np.append(False, chosen[:-1])[: chosen.size])
    bounds = edges[last[turns]].reshape(-1, 2)
    return np.stack([bounds[:, 0], bounds[:, 1] - bounds[:, 0]], axis=1)


def _runs(one: submission.Submission, names: tuple[str, str], shape: tuple[int, int]) -> np.ndarray:
    try:
        return rle.runs(one.row(names).rle, shape)
    except MedsegError as error:
        line, _ = one.places[names]
        raise MedsegError(f"{project.display(one.path)}, line {line} ({names[1]} of {names[0]}): {error}") from None


def _check(models: int, rule: str, weights: Weights | None, threshold: float) -> None:
    if rule not in RULES:
        raise MedsegError(f"Unknown ensemble rule {rule!r}. Choose one of: {', '.join(RULES)}.")
    if not 1 <= models <= MAX_MODELS:
        raise MedsegError(f"An ensemble takes 1 to {MAX_MODELS} submissions, got {models}.")
    if weights is None and rule == "weighted":
        raise MedsegError("The rule weighted needs weights: for each submission a number, or one for each class.")
    if weights is not None and rule in ("majority", "intersection"):
        raise MedsegError(f"The rule {rule} takes no weights. Leave them out, or choose weighted or mean.")
    if weights is not None and len(weights) != models:
        raise MedsegError(f"There are {models} submissions, but {len(weights)} weights. Give one for each.")
    if not 0 <= threshold < 1:
        raise MedsegError(f"The threshold of an ensemble is {threshold}, expected at least 0 and below 1.")
    if threshold != 0.5 and rule != "mean":
        raise MedsegError(f"The rule {rule} takes no threshold. Leave it out, or choose mean.")


def _decider(rule: str, weights: list[Fraction], threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """The function for :func:`combine_runs`, which decides on each pattern of models once and exactly."""
    bar = sum(weights) * Fraction(repr(float(threshold)))

    @cache
    def chosen(pattern: int) -> bool:
        if rule == "intersection":
            return pattern == (1 << len(weights)) - 1
        return bool(sum(weight for model, weight in enumerate(weights) if pattern >> model & 1) > bar)

    def decide(patterns: np.ndarray) -> np.ndarray:
        different, which = np.unique(patterns, return_inverse=True)
        return np.array([chosen(pattern) for pattern in different.tolist()], bool)[which]

    return decide


def _of_class(class_name: str, weights: Weights | None, models: int) -> list[Fraction]:
    """The models' weights for a class."""
    if weights is None:
        return [Fraction(1)] * models
    found = []
    for number, given in enumerate(weights, 1):
        weight = given.get(class_name) if isinstance(given, Mapping) else given
        if weight is None:
            raise MedsegError(f"Submission {number} has no weight for the class {class_name}. Give one.")
        if not (isfinite(weight) and weight >= 0):
            raise MedsegError(
                f"The weight of submission {number} for {class_name} is {weight}, expected a number of at least 0."
            )
        found.append(Fraction(repr(float(weight))))
    if not any(found):
        raise MedsegError(f"All weights for the class {class_name} are 0. Give at least one submission a weight.")
    return found
