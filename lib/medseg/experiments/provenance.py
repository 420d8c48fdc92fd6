"""What a number was made with: versions, commit, machine, memory."""

import contextlib
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from medseg import project

_PACKAGES = (
    "medseg", "torch", "torchvision", "lightning", "segmentation-models-pytorch", "tensorflow", "tf-keras", "keras",
    "segmentation-models", "numpy", "opencv-python-headless", "albumentations", "papermill",
)  # fmt: skip


@dataclass(frozen=True)
class Device:
    """Where a network computes, and how."""

    kind: str  # ``cuda``, ``mps`` or ``cpu``
    name: str  # what a person would call it, such as "NVIDIA A100"
    precision: str  # ``fp32``, ``fp16`` or ``bf16`` (the last two mixed: weights stay fp32)
    count: int = 1  # that share every batch

    def peak_bytes(self) -> int:
        """Highest memory so far that the framework allocated on CUDA."""
        raise NotImplementedError

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error`` says that the device's, or the host's, memory was exhausted."""
        raise NotImplementedError

    def peak_memory_mb(self) -> dict[str, float | None]:
        """Highest memory so far in MB (1e6 bytes): ``host`` resident of this process, ``device`` allocated on CUDA."""
        return {
            "host": peak_resident_mb(),
            "device": round(self.peak_bytes() / 1e6, 1) if self.kind == "cuda" else None,
        }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; read from metadata, nothing is imported."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def git_state() -> dict[str, Any]:
    """``{"commit": hex or None, "dirty": bool or None}`` of the project; None where there is no repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def processor_name() -> str:
    """What a person would call the processor, such as "AMD EPYC"; its architecture where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        named = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        named = platform.processor()
    return named or platform.machine()


def peak_resident_mb() -> float:
    """Highest resident memory of this process so far, MB (1e6 bytes), one decimal."""
    try:
        import resource
    except ImportError:  # Windows, where alone psutil knows the peak
        memory = psutil.Process().memory_info()
        return round(getattr(memory, "peak_wset", memory.rss) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=project.root(), capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()
