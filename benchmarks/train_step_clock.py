"""The clock of ``train_step.py``: ways to train take turns of some steps, and each turn is measured."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

#: Turns of every way that do not count: they load libraries and fill caches.
DROPPED = 2

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """Highest resident memory of this process over what it held before, in bytes (Linux); :meth:`begin` before."""

    there = _CLEAR.exists() and os.access(_CLEAR, os.W_OK)

    def begin(self) -> None:
        if self.there:
            _CLEAR.write_text("5")  # starts the high-water mark anew, see proc(5)
            self._before = psutil.Process().memory_info().rss

    def peak(self) -> float:
        if not self.there:
            return 0.0
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return float(1024 * int(line.split()[1]) - self._before)


@dataclass
class Turn:
    """Of one step, the mean over those of a turn: seconds, those of processors, those of waiting; peak bytes."""

    wall: float
    processor: float
    waiting: float
    memory: float


@dataclass
class Clock:
    """Measures the turns of ways that are called by their names, one after another.

    One way, ``leading``, has a loop of its own, which calls :meth:`stepped` after each of its steps; when its turn is
    over, that call lets every one of ``others`` do as many steps, and returns.

    Attributes:
        steps: that count in a turn.
        ahead: steps at the beginning of a turn that do not count: their batches may have been made during the turns of
            others, where a loader works ahead.
        rounds: turns of each way that count.
        synchronise: waits for the device; called before the clock is read.
        memory: of the device, or of the process.
    """

    leading: str
    others: dict[str, Callable[[], None]]
    steps: int
    ahead: int
    rounds: int
    synchronise: Callable[[], None] = lambda: None
    memory: Memory = field(default_factory=Memory)
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    _done: int = 0
    _waited: float = 0.0

    @property
    def total(self) -> int:
        """Steps of the leading way until every turn is over."""
        return (DROPPED + self.rounds) * (self.ahead + self.steps)

    def stepped(self) -> None:
        """The leading way has done a step."""
        self._done += 1
        place = self._done % (self.ahead + self.steps)
        if self._done > self.total:
            return
        if place == 0:
            self._end(self.leading)
            for name, step in self.others.items():
                for number in range(self.ahead + self.steps):
                    if number == self.ahead:
                        self._begin()
                    step()
                self._end(name)
        if place == self.ahead:
            self._begin()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around whatever waits for data."""
        started = time.perf_counter()
        yield
        self._waited += time.perf_counter() - started

    def start(self) -> None:
        """The next step of the leading way is the first."""
        self._done, self.turns = 0, {name: [] for name in (self.leading, *self.others)}
        if not self.ahead:
            self._begin()

    def _begin(self) -> None:
        self.synchronise()
        self.memory.begin()
        self._waited, self._from = 0.0, (time.perf_counter(), time.process_time())

    def _end(self, name: str) -> None:
        self.synchronise()
        spent = [now - then for now, then in zip((time.perf_counter(), time.process_time()), self._from, strict=True)]
        each = [value / self.steps for value in (*spent, self._waited)]
        self.turns[name].append(Turn(*each, self.memory.peak()))

    def counted(self, name: str) -> list[Turn]:
        """The turns of a way that count."""
        return self.turns[name][DROPPED:]


def rows(case: str, clock: Clock, *, waits: bool) -> list[dict[str, Any]]:
    """What was found, a row a metric: time, processor time, memory, and with ``waits`` the share of waiting for data.

    Each has the median of the ways ``straightforward``, ``ours`` and ``ceiling``, and the ratio of the first two; of
    times also ``over_ceiling``: the median over rounds of ours over the ceiling of the same round, less 1, in per cent.
    """
    every = {way: clock.counted(way) for way in ("straightforward", "ours", "ceiling")}
    found = []
    for metric, name in {"time": "wall", "processor time": "processor"}.items():
        values = {way: [getattr(turn, name) for turn in turns] for way, turns in every.items()}
        over = [one / bare for one, bare in zip(values["ours"], values["ceiling"], strict=True)]
        found.append({**_row(case, metric, values), "over_ceiling": 100 * (median(over) - 1)})
    if clock.memory.there:
        found.append(_row(case, "memory", {way: [turn.memory for turn in turns] for way, turns in every.items()}))
    if waits:
        del every["ceiling"]
        shares = {way: [turn.waiting / turn.wall for turn in turns] for way, turns in every.items()}
        found.append(_row(case, "waiting", shares))
    return found


def _row(case: str, metric: str, values: dict[str, list[float]]) -> dict[str, Any]:
    medians = {way: median(found) for way, found in values.items()}
    return {"case": case, "metric": metric, **medians, "ratio": medians["straightforward"] / max(medians["ours"], 1e-9)}
