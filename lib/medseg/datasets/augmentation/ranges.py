"""How the parameters of transforms are read, in Albumentations' conventions; a bad value raises MedsegError.

``what`` is the parameter's name, for messages.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from medseg.errors import MedsegError

Span = tuple[float, float]


def number(value: Any, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within [low, high]."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high:
        raise MedsegError(f"{what} must be a number{_within(low, high)}, got {value!r}.")
    return value


def span(value: Any, what: str, *, start: float | None = None, low: float = -math.inf, high: float = math.inf) -> Span:
    """A range (from, to) within [low, high], as Albumentations reads it.

    Of two numbers in rising order, or of one number v: (-v, v), or ``start`` and v, sorted, where that is given.
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise MedsegError(f"{what} must be one number or two, got {value!r}.")
        bounds = [number(entry, what, low, high) for entry in value]
        if bounds[0] > bounds[1]:
            raise MedsegError(f"{what} must go from the smaller number to the greater, got {value!r}.")
    else:
        end = number(value, what)
        bounds = [number(bound, what, low, high) for bound in sorted((-end if start is None else start, end))]
    return bounds[0], bounds[1]


def span_per_axis(
    value: Any, what: str, default: float, *, low: float = -math.inf, high: float = math.inf
) -> dict[str, Span]:
    """Ranges for x and y from one number, a pair, or a mapping with ``x`` and ``y``; a single number is itself.

    An axis that a mapping leaves out has ``default``.
    """
    if isinstance(value, dict) and (not value or set(value) - {"x", "y"}):
        raise MedsegError(f"{what} as a mapping has the keys 'x' and 'y', got {value!r}.")
    axes = {axis: value.get(axis, default) if isinstance(value, dict) else value for axis in "xy"}
    return {
        axis: span(entry, what, start=entry if isinstance(entry, int | float) else None, low=low, high=high)
        for axis, entry in axes.items()
    }


def grid(value: Any, what: str) -> tuple[int, int]:
    """Two whole numbers of at least 1 in rising order, from one number or two."""
    low, high = span(value if isinstance(value, tuple | list) else (value, value), what, low=1)
    return int(low), int(high)


def flag(value: Any, what: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise MedsegError(f"{what} must be True or False, got {value!r}.")
    return value


class Transform:
    """A transform; subclasses are dataclasses of its parameters, of which ``p`` is the probability that it happens."""

    p: float
    readers: ClassVar[Mapping[str, Callable[[Any, str], Any]]] = {}
    """What each parameter is read by: from its value, and its name for messages."""

    def __post_init__(self) -> None:
        readers: dict[str, Callable[[Any, str], Any]] = {"p": partial(number, low=0, high=1), **self.readers}
        for parameter, reader in readers.items():
            what = f"{type(self).__name__}({parameter}=...)"
            object.__setattr__(self, parameter, reader(getattr(self, parameter), what))


def drawn(bounds: Span, rng: np.random.Generator) -> float:
    """A number from a range, all equally likely."""
    return bounds[0] + (bounds[1] - bounds[0]) * rng.random()


def odd_between(bounds: Span, rng: np.random.Generator) -> int:
    """An odd number of at least 3 from a range, all equally likely; an even bound becomes the next odd number."""
    lowest, highest = (max(3, int(bound) | 1) for bound in bounds)
    return lowest + 2 * int(rng.integers((highest - lowest) // 2 + 1))


def _within(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" of at least {low:g}"
    return f" from {low:g} to {high:g}"
