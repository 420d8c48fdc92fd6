"""Run the jobs of a sweep: on the slots of this machine, or on the workers of a Dask cluster.

A run that fails never stops the others.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from medseg.errors import MedsegError
from medseg.experiments import notebooks, preload
from medseg.experiments.job import Job, Outcome, run_job
from medseg.experiments.slots import Slots, together

_POLL_SECONDS = 0.3
_LOOK_SECONDS, _WORKERS_SECONDS = 2.0, 60.0  # between looks at the workers of a cluster; without one that can be used
_LOST = "The cluster lost the run, most often because its scheduler ended. Repeat the sweep: the run goes on."


def run_local(
    jobs: Iterable[Job],
    slots: list[dict[str, str]],
    *,
    timeout: float | None = None,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Outcome], None] = lambda outcome: None,
    on_tick: Callable[[], None] = lambda: None,
    stop_file: Path | None = None,
    servers: preload.Servers | None = None,
) -> list[Outcome]:
    """Run ``jobs`` on ``slots``, each slot one at a time, until all have ended; ``servers`` may have begun before.

    A job whose parameters ask for several ``devices`` takes as many slots at once, where there are so many.

    Ctrl-C, or the appearance of ``stop_file``, ends the running notebooks; their runs can be resumed.

    Raises:
        KeyboardInterrupt: after everything that ran has been ended.
    """
    free = Slots(slots)
    stop = threading.Event()

    def work(job: Job) -> Outcome:
        if stop.is_set():
            return Outcome(job, "stopped", "stopped before it began")
        taken = free.take(job.parameters.get("devices", 1))
        try:
            on_start(job)
            slot = together(taken)
            begin = forked.starter(job) if preload.possible(slot) else notebooks.start
            return run_job(job, slot, timeout, stop, begin)
        finally:
            free.give(taken)

    own = contextlib.nullcontext(servers) if servers else preload.Servers()
    with own as forked, ThreadPoolExecutor(len(slots), thread_name_prefix="slot") as pool:
        futures = {pool.submit(work, job): job for job in jobs}
        try:
            return _collect(futures, on_end, on_tick, stop_file, stop.set)
        finally:
            stop.set()  # on any way out: nothing that was started outlives the sweep


def run_on_cluster(
    jobs: Iterable[Job],
    address: str,
    *,
    timeout: float | None = None,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Outcome], None] = lambda outcome: None,
    on_tick: Callable[[], None] = lambda: None,
    stop_file: Path,
) -> list[Outcome]:
    """As :func:`run_local`, on the workers of the Dask scheduler at ``address``.

    Workers must see the same project folder, and be started with one thread and ``--resources "GPU=1"``, or as many as
    runs ask for ``devices``. They watch ``stop_file``, which Ctrl-C writes, because a task that runs on a worker cannot
    be interrupted otherwise.

    Raises:
        MedsegError: no worker that a run could use has been there for a minute; Dask itself would wait for ever.
    """
    from distributed import Client

    jobs = list(jobs)
    with Client(address, timeout="20s", set_as_default=False) as client:
        workers = _Workers(client, address, max((job.parameters.get("devices", 1) for job in jobs), default=1))
        while not workers.enough():
            time.sleep(_POLL_SECONDS)

        def tick() -> None:
            on_tick()
            workers.enough()

        stop = SimpleNamespace(is_set=stop_file.exists)  # a file in the place of an event
        futures = {}
        for job in jobs:
            on_start(job)
            resources = {"GPU": job.parameters.get("devices", 1)}
            pool = client.get_executor(resources=resources, pure=False, retries=0)
            futures[pool.submit(run_job, job, {}, timeout, stop)] = job  # the worker's environment names its device
        try:
            return _collect(futures, on_end, tick, stop_file, stop_file.touch)
        except KeyboardInterrupt:
            stop_file.touch()
            wait(futures, timeout=30)
            raise


class _Workers:
    """Whether a cluster has a worker that offers ``needed`` devices."""

    def __init__(self, client: Any, address: str, needed: int) -> None:
        self._client, self._address, self._needed = client, address, needed
        self._looked, self._missing_since, self._there = -math.inf, math.inf, False

    def enough(self) -> bool:
        """What was seen some seconds ago at most; a :class:`MedsegError` where there has been none for long."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return self._there
        self._looked = now
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except (OSError, RuntimeError):  # the scheduler is away for a moment, or for good
            workers = ()
        offered = max((worker["resources"].get("GPU", 0) for worker in workers), default=0)
        self._there = offered >= self._needed
        self._missing_since = math.inf if self._there else min(self._missing_since, now)
        if now - self._missing_since >= _WORKERS_SECONDS:
            raise MedsegError(
                f"No worker of the Dask scheduler {self._address} offers GPU={self._needed}, and none came within "
                f"{_WORKERS_SECONDS:g} s ({len(workers)} workers are there, the most that one offers is {offered:g}). "
                f'Start one with: dask worker {self._address} --nthreads 1 --resources "GPU={self._needed}", then '
                "repeat the sweep: what is finished is skipped."
            )
        return self._there


def _collect(
    futures: "dict[Future[Outcome], Job]",
    on_end: Callable[[Outcome], None],
    on_tick: Callable[[], None],
    stop_file: Path | None,
    stop: Callable[[], None],
) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            job = futures[future]
            error = MedsegError(_LOST) if future.cancelled() else future.exception()
            outcome = future.result() if error is None else Outcome(job, "failed", _said(error))
            outcomes[str(job.folder)] = outcome
            on_end(outcome)
        if stop_file is not None and stop_file.exists():
            stop()
        on_tick()
    return [outcomes[str(job.folder)] for job in futures.values()]


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, MedsegError) else f"{type(error).__name__}: {error}"
