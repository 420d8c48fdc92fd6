"""Run a module so that it cannot outlive the process that started it: ``python -m ... PARENT_PID MODULE ARGS``."""

import contextlib
import os
import runpy
import sys
import threading

import psutil

_POLL_SECONDS = 1.0


def main() -> None:
    """Tie this process to its parent, then do what ``python -m MODULE ARGS`` does."""
    parent, module, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        _ask_linux(int(parent))
    else:
        watch(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _ask_linux(parent: int) -> None:
    """Have the kernel kill this process at its parent's death."""
    import ctypes
    import signal

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


if __name__ == "__main__":
    main()
