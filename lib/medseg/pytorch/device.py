"""Where a network computes and in which precision."""

from typing import Literal

import torch

from medseg.errors import MedsegError
from medseg.experiments import provenance
from medseg.experiments.provenance import processor_name


class Device(provenance.Device):
    """A choice of device and precision, in PyTorch's words."""

    @property
    def lightning_precision(self) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
        return "32-true" if self.precision == "fp32" else "16-mixed" if self.precision == "fp16" else "bf16-mixed"

    def autocast(self) -> torch.autocast:
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.kind, dtype=dtype, enabled=self.precision != "fp32")

    def peak_bytes(self) -> int:
        return torch.cuda.max_memory_allocated()

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and "not enough memory" in str(error)
        )


def choose(device: str = "auto", precision: str = "auto") -> Device:
    """Resolve ``auto``: CUDA, else MPS, else CPU; bf16 where the GPU has it, else fp16 on CUDA, else fp32.

    Also lets CUDA use TF32 for what stays fp32. A :class:`MedsegError` where the named device is not there, or the
    precision is of no use on it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(k for k in there if there[k]) if device == "auto" else device
    if not there.get(kind):
        usable = ", ".join(k for k in there if there[k])
        raise MedsegError(f"The device {device!r} is not available here. Available: {usable}. Use device='auto'.")
    if precision == "auto":
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if kind == "cuda" else "fp32"
    elif precision == "fp16" and kind == "cpu":
        raise MedsegError("precision='fp16' is of no use on a CPU. Use precision='auto' or 'fp32'.")
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
    name = torch.cuda.get_device_name() if kind == "cuda" else processor_name()
    return Device(kind, name, precision)
