"""Where a network computes, on how many devices, and in which precision."""

import contextlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from medseg.errors import MedsegError
from medseg.experiments import provenance
from medseg.experiments.provenance import processor_name
from medseg.tf_shared import keras, tf


@dataclass(frozen=True)
class Device(provenance.Device):
    """A choice of device and precision, in TensorFlow's words."""

    @property
    def policy(self) -> str:
        return {"fp32": "float32", "fp16": "mixed_float16", "bf16": "mixed_bfloat16"}[self.precision]

    @cached_property
    def _strategy(self) -> tf.distribute.Strategy:
        prefix = "GPU" if self.kind == "cuda" else "CPU"
        return tf.distribute.MirroredStrategy([f"{prefix}:{number}" for number in range(self.count)])

    def scope(self) -> AbstractContextManager:
        """Within it, a network is built once on every device; nothing special for a single one."""
        return self._strategy.scope() if self.count > 1 else contextlib.nullcontext()

    def peak_bytes(self) -> int:
        """Of several GPUs, that of the one that needed most."""
        return max(tf.config.experimental.get_memory_info(f"GPU:{number}")["peak"] for number in range(self.count))

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or (
            isinstance(error, tf.errors.OpError) and "out of memory" in str(error).lower()
        )


def choose(device: str = "auto", precision: str = "auto", count: int = 1) -> Device:
    """Resolve ``auto``: CUDA, else CPU; bf16 where the GPU has it, else fp16, and fp32 on a CPU.

    TensorFlow settles its devices at the first operation, so this comes first: GPU memory is taken as it is needed
    instead of all at once, the CPU's threads follow ``OMP_NUM_THREADS``, and ``cpu`` hides the GPUs. A
    :class:`MedsegError` where the named device is not there, or fewer of them, or can no longer be chosen, or the
    precision is of no use on it.
    """
    if keras.backend.backend() != "tensorflow":
        raise MedsegError(
            f"Keras computes with {keras.backend.backend()}, but medseg's data and checkpoints need TensorFlow. "
            "Unset KERAS_BACKEND and start again."
        )
    gpus = tf.config.list_physical_devices("GPU")
    kind = ("cuda" if gpus else "cpu") if device == "auto" else device
    if kind == "cuda" and not gpus:
        raise MedsegError("The device 'cuda' is not available here. Available: cpu. Use device='auto'.")
    if kind not in ("cuda", "cpu"):
        raise MedsegError(f"The device {device!r} is not available in Keras. Choose one of: auto, cuda, cpu.")
    if kind == "cpu" and precision == "fp16":
        raise MedsegError("precision='fp16' is of no use on a CPU. Use precision='auto' or 'fp32'.")
    available = len(gpus) if kind == "cuda" else 1
    if not 1 <= count <= available:
        raise MedsegError(f"devices is {count}, but there is {available} of the kind {kind}. Use devices={available}.")
    try:
        if gpus:
            tf.config.set_visible_devices(gpus if kind == "cuda" else [], "GPU")
    except RuntimeError:
        raise MedsegError(
            f"device={device!r} comes too late: TensorFlow already computes on another device. Restart the kernel."
        ) from None
    # Both are refused where the first operation is past; by then an earlier call has seen to them.
    with contextlib.suppress(RuntimeError, ValueError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        if threads := int(os.environ.get("OMP_NUM_THREADS", "0")):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    if kind == "cpu":
        return Device(kind, processor_name(), "fp32" if precision == "auto" else precision)
    details = tf.config.experimental.get_device_details(gpus[0])
    if precision == "auto":  # bf16 from Ampere on, fp16 on tensor cores from Volta on
        capability = details.get("compute_capability", (0, 0))
        precision = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    return Device(kind, details.get("device_name", "GPU"), precision, count)


def versions() -> str:
    """TensorFlow and the Keras in use, for a line of a notebook."""
    return f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
