"""Run the jobs of a sweep: on the slots of this machine, or on the workers of a Dask cluster.

A run that fails never stops the others.
"""

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace

from medseg.experiments.job import Job, Outcome, run_job

_POLL_SECONDS = 0.3


def local_slots(workers: int | None = None) -> list[dict[str, str]]:
    """Slots of this machine, each for one notebook at a time, as variables of its environment.

    ``workers`` of them; None: one per visible GPU, without a GPU two where there are two cores or more.
    """
    gpus = _visible_gpus()
    if gpus:
        return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(workers or len(gpus))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or min(2, cores)
    threads = str(max(1, cores // count))
    return [{"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}] * count


def run_local(
    jobs: Iterable[Job],
    slots: list[dict[str, str]],
    *,
    timeout: float | None = None,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Outcome], None] = lambda outcome: None,
    on_tick: Callable[[], None] = lambda: None,
    stop_file: Path | None = None,
) -> list[Outcome]:
    """Run ``jobs`` on ``slots``, each slot one at a time, until all have ended.

    Ctrl-C, or the appearance of ``stop_file``, ends the running notebooks; their runs can be resumed.

    Raises:
        KeyboardInterrupt: after everything that ran has been ended.
    """
    free: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)
    stop = threading.Event()

    def work(job: Job) -> Outcome:
        if stop.is_set():
            return Outcome(job, "stopped", "stopped before it began")
        slot = free.get()
        try:
            on_start(job)
            return run_job(job, slot, timeout, stop)
        finally:
            free.put(slot)

    with ThreadPoolExecutor(len(slots), thread_name_prefix="slot") as pool:
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

    Workers must see the same project folder, and be started with one thread and ``--resources "GPU=1"``. They watch
    ``stop_file``, which Ctrl-C writes, because a task that runs on a worker cannot be interrupted otherwise.
    """
    from distributed import Client

    with Client(address, timeout="20s", set_as_default=False) as client:
        pool = client.get_executor(resources={"GPU": 1}, pure=False, retries=0)
        stop = SimpleNamespace(is_set=stop_file.exists)  # a file in the place of an event
        futures = {}
        for job in jobs:
            on_start(job)
            futures[pool.submit(run_job, job, {}, timeout, stop)] = job  # the worker's environment names its device
        try:
            return _collect(futures, on_end, on_tick, stop_file, stop_file.touch)
        except KeyboardInterrupt:
            stop_file.touch()
            wait(futures, timeout=30)
            raise


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
            error = RuntimeError("the cluster lost the task") if future.cancelled() else future.exception()
            outcome = future.result() if error is None else Outcome(job, "failed", f"{type(error).__name__}: {error}")
            outcomes[str(job.folder)] = outcome
            on_end(outcome)
        if stop_file is not None and stop_file.exists():
            stop()
        on_tick()
    return [outcomes[str(job.folder)] for job in futures.values()]


def _visible_gpus() -> list[str]:
    """Ids of the NVIDIA GPUs that this process may use, without importing a framework."""
    limited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if limited is not None:
        return [part.strip() for part in limited.split(",") if part.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split() if listed.returncode == 0 else []
