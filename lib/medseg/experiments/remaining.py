"""How long a sweep still takes, guessed from how far its runs have come; framework-free."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_SURE = 0.05  # the part of a notebook after which its pace says something


@dataclass
class _Notebook:
    begun: float  # seconds of the clock
    done: float = 0.0  # the part that is behind it, in [0, 1]

    def left(self, now: float) -> float | None:
        """Seconds that it still takes at its pace; None before that can be known."""
        return (now - self.begun) * (1 - self.done) / self.done if self.done >= _SURE else None


class Remaining:
    """Told of the start, progress and end of runs, guesses the seconds until the last of ``total`` has ended.

    A run that is training is taken to end at its pace and then to be scored as long as finished ones were; a run that
    waits, to take as long as the others on average. Rows that differ much in cost make it wrong until they have begun.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting, self._clock = total, clock
        self._running: dict[Hashable, list[_Notebook]] = {}
        self._took: list[tuple[float, float]] = []  # of finished runs: seconds of the training, and of the scoring
        self._slots = 1

    def begin(self, run: Hashable) -> None:
        """``run`` has been started."""
        self._waiting -= 1
        self._running[run] = [_Notebook(self._clock())]
        self._slots = max(self._slots, len(self._running))

    def reached(self, run: Hashable, part: float) -> None:
        """``part`` in [0, 1] of its notebook is done; less than before means that the next notebook is at work."""
        notebooks = self._running[run]
        if part < notebooks[-1].done:
            notebooks.append(_Notebook(self._clock()))
        notebooks[-1].done = part

    def end(self, run: Hashable) -> None:
        """``run`` has ended; one that never began was skipped."""
        notebooks, now = self._running.pop(run, []), self._clock()
        if not notebooks:
            self._waiting -= 1
        elif len(notebooks) > 1:
            self._took.append((notebooks[-1].begun - notebooks[0].begun, now - notebooks[-1].begun))

    def seconds(self) -> float | None:
        """Until the end of all; None while nothing can be said, or nothing is left."""
        now = self._clock()
        scoring = sum(scored for _, scored in self._took) / len(self._took) if self._took else 0.0
        left, whole = [], [trained + scored for trained, scored in self._took]
        for notebooks in self._running.values():
            own = notebooks[-1].left(now)
            if own is not None:
                left.append(own + (scoring if len(notebooks) == 1 else 0.0))
                whole.append(now - notebooks[0].begun + left[-1])
        if not whole or not (self._waiting or self._running):
            return None
        typical = sum(whole) / len(whole)
        for notebooks in self._running.values():
            if notebooks[-1].left(now) is None:
                left.append(max(typical - (now - notebooks[0].begun), 0.0))
        return max([(sum(left) + self._waiting * typical) / self._slots, *left])
