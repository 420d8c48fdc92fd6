"""One training on several devices: a process for each, which takes its part of every batch.

The processes are started afresh (spawned), because one in which a device or a thread pool is in use cannot be forked.
Within them Lightning's strategy for distributed data adds up the gradients.
"""

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cloudpickle
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed, multiprocessing
from torch.multiprocessing.spawn import ProcessException
from torch.utils.data import BatchSampler, Sampler

from medseg import project
from medseg.experiments import parent_death
from medseg.pytorch.device import Device

#: Processes keep PyTorch's hints to themselves; it reads this when it is loaded.
_QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
_place = (0, 1)


class PartOfBatches(Sampler[list[Any]]):
    """The part of every batch that process ``rank`` of ``count`` takes; together they are the batches of one process.

    Of a batch of fewer items than processes, one that is left without an item takes the first, which does not count.

    Args:
        sampler: of the items; Lightning tells it the epoch.
        batch_size: over all processes, ``count`` or more.
        drop_last: whether a last batch that is not full is left out.
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool, rank: int, count: int) -> None:
        self.sampler, self._rank, self._count, self._batch_size = sampler, rank, count, batch_size
        self._batches = BatchSampler(sampler, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Any]]:
        return (batch[self._rank :: self._count] or batch[:1] for batch in self._batches)

    def weight(self, number: int) -> float:
        """By which the mean loss of this part of batch ``number`` counts in the mean over the processes."""
        items = min(self._batch_size, len(self.sampler) - number * self._batch_size)
        return len(range(self._rank, items, self._count)) * self._count / items


def place() -> tuple[int, int]:
    """Number of this process among those that train together, and how many they are; (0, 1) where it trains alone."""
    return _place


def total(sums: torch.Tensor) -> torch.Tensor:
    """``sums`` added up over the processes, the same in each; unchanged where there is one."""
    if distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums


def trainer_options(device: Device) -> dict[str, Any]:
    """What Lightning's trainer is told besides."""
    if device.count == 1:
        return {"devices": 1}
    cuda = device.kind == "cuda"
    spread: Strategy = DDPStrategy(
        cluster_environment=LightningEnvironment(),
        process_group_backend="nccl" if cuda else "gloo",
        # A frozen encoder, and layers of timm that a decoder does not use, get no gradient.
        find_unused_parameters=True,
    )
    # On a CPU, PyTorch cannot normalise over the batch of all processes.
    return {"devices": device.count, "strategy": spread, "sync_batchnorm": cuda}


def launch(device: Device, train: Callable[..., None], *arguments: Any) -> None:
    """Call ``train`` in a process for each device; notes the highest memory of any of them in ``device``.

    Raises:
        Exception: what was raised first in one of them; the others are ended.
        KeyboardInterrupt: they were interrupted.
    """
    content = cloudpickle.dumps(partial(train, *arguments))
    told = multiprocessing.get_context("spawn").SimpleQueue()
    with project.environment(_QUIET):
        context = multiprocessing.start_processes(
            _work,
            (content, device, _free_port(), told, os.getpid()),
            nprocs=device.count,
            join=False,
            start_method="spawn",
        )
    assert context is not None
    try:
        while not context.join():
            pass
    except ProcessException as fault:
        if not told.empty() and isinstance(error := cloudpickle.loads(told.get()), Exception):
            raise error from None
        raise RuntimeError(f"one of {device.count} training processes ended: {fault}") from None
    finally:
        for process in context.processes:
            if process.is_alive():
                process.terminate()
            process.join()
    ended = []
    while not told.empty():
        ended.append(cloudpickle.loads(told.get()))
    if len(ended) < device.count:  # an interrupted process ends without a word
        raise KeyboardInterrupt
    for place in ("host", "device"):
        known = [peaks[place] for peaks in ended if peaks[place] is not None]
        device.peaks[place] = max(known) if known else None


def _work(number: int, content: bytes, device: Device, port: int, told: Any, parent: int) -> None:
    global _place
    parent_death.watch(parent)  # PyTorch does so as well, but not where it died while this was importing
    _place = number, device.count
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what gloo tells of its connections
    # Of these Lightning knows that the processes are started already.
    os.environ.update(LOCAL_RANK=str(number), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    if device.kind == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // device.count))
    else:
        torch.cuda.set_device(number)
        torch.set_float32_matmul_precision("high")
    try:
        cloudpickle.loads(content)()
        told.put(cloudpickle.dumps(device.peak_memory_mb()))
    except Exception as error:
        told.put(_pickled(error))
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _pickled(error: Exception) -> bytes:
    """An exception for another process; without what it was raised from, which may not travel."""
    error.__cause__ = error.__context__ = None
    try:
        content = cloudpickle.dumps(error.with_traceback(None))
        cloudpickle.loads(content)
    except Exception:
        return cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return content


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
