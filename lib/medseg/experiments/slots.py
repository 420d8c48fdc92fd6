"""Slots: shares of this machine, each for one notebook at a time, as variables of its environment."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable

#: The variables: which GPUs a process sees, and how many threads its libraries take.
GPUS, THREADS = "CUDA_VISIBLE_DEVICES", ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
NO_GPU = "-1"


def local_slots(workers: int | None = None, jobs: int = 2) -> list[dict[str, str]]:
    """``workers`` slots; None: one per visible GPU, without a GPU two where two cores and ``jobs`` are.

    The cores are shared out once for all, also for runs that are resumed or last: another number of threads gives other
    last digits, and the order in which runs end must not be seen in the figures.
    """
    gpus = _visible_gpus()
    if gpus:
        return [{GPUS: gpus[i % len(gpus)]} for i in range(workers or len(gpus))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or max(1, min(2, cores, jobs))
    threads = str(max(1, cores // count))
    return [{GPUS: NO_GPU, **dict.fromkeys(THREADS, threads)}] * count


class Slots:
    """The slots that are free."""

    def __init__(self, slots: Iterable[dict[str, str]]) -> None:
        self._free = list(slots)
        self._most = len(_different(self._free))
        self._changed = threading.Condition()

    def take(self, count: int) -> list[dict[str, str]]:
        """Wait until ``count`` slots of different GPUs, or on a CPU any, can be had at once; all if there are fewer."""
        count = min(max(count, 1), self._most)
        with self._changed:
            self._changed.wait_for(lambda: len(_different(self._free)) >= count)
            taken = _different(self._free)[:count]
            for slot in taken:
                self._free.remove(slot)
        return taken

    def give(self, taken: Iterable[dict[str, str]]) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += taken
            self._changed.notify_all()


def together(slots: list[dict[str, str]]) -> dict[str, str]:
    """The environment of a job that has all of ``slots``: their GPUs, or on a CPU their threads."""
    joined = dict(slots[0])
    if (gpus := [slot.get(GPUS, NO_GPU) for slot in slots])[0] != NO_GPU:
        joined[GPUS] = ",".join(gpus)
    for name in THREADS:
        if name in joined:
            joined[name] = str(sum(int(slot[name]) for slot in slots))
    return joined


def _different(slots: list[dict[str, str]]) -> list[dict[str, str]]:
    """One slot of each GPU; all of those without."""
    on_cpu = [slot for slot in slots if slot.get(GPUS, NO_GPU) == NO_GPU]
    return on_cpu or list({slot[GPUS]: slot for slot in slots}.values())


def _visible_gpus() -> list[str]:
    """Ids of the NVIDIA GPUs that this process may use, without importing a framework."""
    limited = os.environ.get(GPUS)
    if limited is not None:
        return [part.strip() for part in limited.split(",") if part.strip() not in ("", NO_GPU)]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split() if listed.returncode == 0 else []
