"""A process that has imported what notebooks import, and from which they are forked: ``python -m ... ADDRESS``.

Importing a framework takes longer than many a small run computes. It is done once here, before there is a thread or a
device, and each notebook starts as a copy of this process. Its standard input has, as JSON, the statements that import.
At ADDRESS, a Unix socket, each request is the keywords of :func:`_become`, or of :func:`_answer`; the answers are the
process id of the copy and, when it has ended, its exit code.
"""

import contextlib
import gc
import json
import os
import runpy
import socket
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from typing import Any

from medseg.experiments import slots

_LOOK_SECONDS = 1.0  # between looks whether the sweep is still there
#: What notebooks and their kernels import late, wherever they do.
LATE = (
    "ipykernel.ipkernel", "ipykernel.kernelapp", "IPython.core.pylabtools", "pandas", "matplotlib.backends.backend_agg",
    "medseg.experiments.papermill_process", "medseg.metrics.saliency", "medseg.reporting.gallery",
)  # fmt: skip


def main() -> None:
    """Listen first, so that callers wait instead of failing; then import, then fork until the parent is gone."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        for statement in [*(f"import {name}" for name in LATE), *json.load(sys.stdin)]:
            if os.getppid() != parent:
                return
            exec(statement, {})
        if len(os.listdir("/proc/self/task")) > 1:  # a lock that another thread holds would stay locked in the copies
            sys.exit("A module started a thread while it was imported: nothing can be forked from here.")
        gc.collect()
        gc.freeze()  # collections in the copies leave alone, and shared, what was imported
        request = _serve(listener, parent)
    if request:
        (_answer if "module" in request else _become)(**request)


def _serve(listener: socket.socket, parent: int) -> dict[str, Any] | None:
    """Fork for each request, which is returned in the copy; None at the end of the parent."""
    running: dict[int, tuple[int, connection.Connection]] = {}
    while os.getppid() == parent:
        for ready in connection.wait([listener, *running], _LOOK_SECONDS):
            if ready is listener:
                caller = connection.Connection(listener.accept()[0].detach())
                request = caller.recv()
                pid = os.fork()
                if pid == 0:
                    for number, (_, other) in running.items():
                        os.close(number)
                        other.close()
                    caller.close()
                    return request
                running[os.pidfd_open(pid)] = pid, caller
                _tell(caller, pid)
            elif isinstance(ready, int):
                pid, caller = running.pop(ready)
                os.close(ready)
                _tell(caller, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                caller.close()
    return None


def _tell(caller: connection.Connection, what: int) -> None:
    with contextlib.suppress(OSError):  # a caller that no longer listens
        caller.send(what)


def _become(arguments: Sequence[str], log: str, environment: Mapping[str, str]) -> None:
    """Be the process that executes one notebook, as ``python -m medseg.experiments.papermill_process`` would be."""
    from medseg.experiments import forked_kernel, papermill_process

    server = os.getppid()
    os.setsid()
    with open(log, "wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ.update(environment)
    _use_threads()
    forked_kernel.prepare()
    sys.argv = ["papermill", *arguments]
    papermill_process.main(server)


def _answer(module: str, asked: str, said: str) -> None:
    """Be ``python -m module``, with the file ``asked`` as standard input and ``said`` as standard output."""
    os.setsid()
    with open(asked, encoding="utf-8") as sys.stdin, open(said, "w", encoding="utf-8") as sys.stdout:
        runpy.run_module(module, run_name="__main__")


def _use_threads() -> None:
    """As many threads as the slot has: the libraries read their number when they were imported."""
    if (torch := sys.modules.get("torch")) and (threads := os.environ.get(slots.THREADS[0])):
        torch.set_num_threads(int(threads))


if __name__ == "__main__":
    main()
