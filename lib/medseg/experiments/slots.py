"""Slots of this machine; a slot is one GPU or one share of the CPU and runs one notebook at a time."""

import os
import shutil
import subprocess


def local_slots(workers: int | None = None) -> list[dict[str, str]]:
    """Slots of this machine: one per visible GPU, else shares of the CPU.

    Args:
        workers: how many runs at a time. None: one per GPU; without a GPU two where there are two cores or more.
    """
    gpus = _visible_gpus()
    if gpus:
        return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(workers or len(gpus))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or min(2, cores)
    threads = str(max(1, cores // count))
    return [{"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}] * count


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
