"""Speed and size of a trained network: parameters, multiply-accumulates, latency and throughput.

What is timed is the network alone, warm: from uint8 pictures at the training resolution in the host's memory to their
logits, complete on the device that computes them. That is one pass: reading, resizing, further views, windows,
thresholds and post-processing are not in it, while sending to the device and normalising are.

Multiply-accumulates are those of convolutions, transposed convolutions, dense layers and matrix products (attention
among them), of one picture, and the same in every framework; nothing else counts. Parameters are those of the whole
network as it was trained, without the running statistics of its normalisation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np
import psutil

from medseg.experiments.provenance import Device
from medseg.experiments.runs import Run

BATCH = 8  # pictures at a time for the throughput; fewer where they need too much time or memory
_WARM_UP, _BUDGET = 0.25, 0.75  # seconds, of each of the two measurements
_LEAST, _MOST = 3, 200  # calls
_LONG = 2.0  # seconds that a call of a batch may take
_SLACK = 0.1  # share of the processors: what a machine does beside anything


@dataclass(frozen=True)
class BareNetwork:
    """A trained network alone, as the frameworks' predictors give it.

    Attributes:
        through: takes uint8 pictures (B, ``*shape``), and returns when their logits are complete.
        shape: of one picture, as the network of this framework sees it at the training resolution.
        resolution: side of a picture, pixels.
        parameters: how many there are.
        count_macs: multiply-accumulates of one picture; None where they cannot be told.
        threads: that the framework computes with on a CPU.
    """

    through: Callable[[np.ndarray], None]
    shape: tuple[int, ...]
    resolution: int
    parameters: int
    count_macs: Callable[[], int | None]
    device: Device
    threads: int


class Bare(Protocol):
    """A predictor whose network can be had alone."""

    def bare(self) -> BareNetwork: ...


def measure(run: Run, predict: Bare) -> dict[str, Any]:
    """Measure the network of a run's predictor, and write what was found into the record as ``cost``.

    It has resolution, parameters, macs (None: cannot be told), latency (batch 1; ms: median over calls, and its
    quartiles), throughput (batch; pictures_per_second), device, threads, processors, others (the share of all
    processors, 0 to 1, that other processes used meanwhile) and measured (when).
    """
    bare = predict.bare()
    others = OtherWork()
    one = _pictures(bare, 1)
    seconds = timed(lambda: bare.through(one))
    batch, of_batch = _throughput(bare, seconds)
    share = others.share()
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]) * 1000
    quartiles = [round(float(low), 3), round(float(high), 3)]
    found = {
        "resolution": bare.resolution,
        "parameters": bare.parameters,
        "macs": bare.count_macs(),
        "latency": {"batch": 1, "ms": round(float(median), 3), "quartiles_ms": quartiles, "calls": len(seconds)},
        "throughput": {
            "batch": batch,
            "pictures_per_second": round(batch / float(np.median(of_batch)), 3),
            "calls": len(of_batch),
        },
        "device": {"kind": bare.device.kind, "name": bare.device.name, "precision": bare.device.precision},
        "threads": bare.threads,
        "processors": _processors(),
        "others": round(share, 3),
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    run.update(cost=found)
    return found


def timed(call: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Seconds of every one of repeated calls, after some that only warm up: few where a call takes long."""
    begun = clock()
    call()
    while clock() - begun < _WARM_UP:
        call()
    seconds: list[float] = []
    while len(seconds) < _LEAST or (sum(seconds) < _BUDGET and len(seconds) < _MOST):
        begun = clock()
        call()
        seconds.append(clock() - begun)
    return seconds


def contended(cost: dict[str, Any]) -> bool:
    """Whether a record's times were taken on a CPU while more was to be computed than there are processors.

    Of a GPU it is not known whether others used it.
    """
    if cost["device"]["kind"] != "cpu":
        return False
    return cost["threads"] / cost["processors"] + cost["others"] > 1 + _SLACK


class OtherWork:
    """How much other processes compute from now on."""

    def __init__(self) -> None:
        self._begun = self._now()

    def share(self) -> float:
        """Share of all processors, 0 to 1, that they used."""
        wall, busy, own = (now - then for now, then in zip(self._now(), self._begun, strict=True))
        return float(np.clip((busy - own) / (wall * _processors()), 0, 1)) if wall > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of the clock, computed by all processes, and by this one."""
        every, own = psutil.cpu_times(), psutil.Process().cpu_times()
        busy = sum(getattr(every, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
        return time.monotonic(), busy, own.user + own.system


def _throughput(bare: BareNetwork, alone: Sequence[float]) -> tuple[int, Sequence[float]]:
    """The batch, and seconds of its calls; ``alone`` are those of a single picture."""
    batch = BATCH
    while batch > 1 and batch * float(np.median(alone)) > _LONG:
        batch //= 2
    while batch > 1:
        pictures = _pictures(bare, batch)
        try:
            return batch, timed(lambda: bare.through(pictures))  # noqa: B023  called before the next one is made
        except Exception as error:
            if not bare.device.is_out_of_memory(error):
                raise
            batch //= 2
    return 1, alone


def _pictures(bare: BareNetwork, batch: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, *bare.shape), dtype=np.uint8)


def _processors() -> int:
    return psutil.cpu_count() or 1
