"""Where a network computes and in which precision."""

import os
from dataclasses import dataclass, field
from typing import Literal

import torch

from medseg.errors import MedsegError
from medseg.experiments import provenance
from medseg.experiments.provenance import processor_name


@dataclass(frozen=True)
class Device(provenance.Device):
    """A choice of device and precision, in PyTorch's words.

    Attributes:
        peaks: highest memory in MB of the processes of a training on several devices, see :meth:`peak_memory_mb`.
    """

    peaks: dict[str, float | None] = field(default_factory=dict, compare=False)

    @property
    def lightning_precision(self) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
        return "32-true" if self.precision == "fp32" else "16-mixed" if self.precision == "fp16" else "bf16-mixed"

    def autocast(self) -> torch.autocast:
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.kind, dtype=dtype, enabled=self.precision != "fp32")

    def peak_bytes(self) -> int:
        return torch.cuda.max_memory_allocated()

    def peak_memory_mb(self) -> dict[str, float | None]:
        return dict(self.peaks) or super().peak_memory_mb()

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and "not enough memory" in str(error)
        )


def choose(device: str = "auto", precision: str = "auto", count: int = 1) -> Device:
    """Resolve ``auto``: CUDA, else MPS, else CPU; bf16 where the GPU has it, else fp16 on CUDA, else fp32.

    Also lets CUDA use TF32 for what stays fp32. ``count`` devices share every batch; on a CPU each is a process with
    its part of the cores. A :class:`MedsegError` where the named device is not there, or fewer of them, or the
    precision is of no use on it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(k for k in there if there[k]) if device == "auto" else device
    if not there.get(kind):
        usable = ", ".join(k for k in there if there[k])
        raise MedsegError(f"The device {device!r} is not available here. Available: {usable}. Use device='auto'.")
    available = torch.cuda.device_count() if kind == "cuda" else 1 if kind == "mps" else os.cpu_count() or 1
    if not 1 <= count <= available:
        raise MedsegError(f"devices is {count}, but there is {available} of the kind {kind}. Use devices={available}.")
    if precision == "auto":
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if kind == "cuda" else "fp32"
    elif precision == "fp16" and kind == "cpu":
        raise MedsegError("precision='fp16' is of no use on a CPU. Use precision='auto' or 'fp32'.")
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
    name = torch.cuda.get_device_name() if kind == "cuda" else processor_name()
    return Device(kind, name, precision, count)
