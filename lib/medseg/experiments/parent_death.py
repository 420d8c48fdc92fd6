"""Processes that do not outlive the one that started them, not even while they are still importing."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import psutil

_POLL_SECONDS = 1.0


def ask_linux(parent: int) -> None:
    """Have the kernel of Linux kill this process when the thread of ``parent`` that started it ends."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the signal was set
        sys.exit(1)


def watch(parent: int) -> None:
    """End this process and all that it started within a second or two of its parent's death, on any system."""
    try:
        process = psutil.Process(parent)
    except psutil.NoSuchProcess:
        sys.exit(1)

    def wait_for_its_end() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                ended.wait(_POLL_SECONDS)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        os._exit(1)

    ended = threading.Event()
    threading.Thread(target=wait_for_its_end, name="watch-parent", daemon=True).start()


class WatchedProcess(SpawnProcess):
    """A process that is started afresh and watches its parent before it loads anything that its work needs.

    Watched and not signalled: on Linux the signal would also come when the thread ends that began the process.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The new process makes itself out of this, in this order: the call, and only then the state, which imports
        # the modules of target and arguments.
        return _begin, (os.getpid(),), vars(self)


def _begin(parent: int) -> WatchedProcess:
    watch(parent)
    return WatchedProcess.__new__(WatchedProcess)


class WatchedContext(SpawnContext):
    """As ``multiprocessing.get_context("spawn")``, but for what :class:`WatchedProcess` adds."""

    Process = WatchedProcess  # type: ignore[assignment]
