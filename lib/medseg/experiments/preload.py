"""Start notebooks, and checks of their parameters, as copies of a process that has imported what they import.

On Linux and without a GPU: elsewhere a fork after these imports is not safe, or was not tried, and notebooks start in
the ordinary way. That is also what happens when the server of one fails.
"""

import ast
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from types import TracebackType
from typing import Any

from medseg import project, registry
from medseg.experiments import notebooks, slots
from medseg.experiments.job import EVALUATE, Job

_POLL_SECONDS = 0.05
_CHECK_SECONDS = 300
#: Of a server: libraries that compute start their threads while they are imported, and then it could not be forked.
_ONE_THREAD = dict.fromkeys((*slots.THREADS, "OPENBLAS_NUM_THREADS"), "1")


def possible(slot: Mapping[str, str]) -> bool:
    """Whether notebooks can be forked on a slot, see :func:`medseg.experiments.slots.local_slots`."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and slot.get(slots.GPUS) == slots.NO_GPU


class Servers:
    """A server for each framework, started for its first notebook; all end with the ``with``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="medseg-")
        self._servers: dict[str, _Server] = {}

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        for server in self._servers.values():
            server.end()
        self._folder.cleanup()

    def starter(self, job: Job) -> notebooks.Start:
        """What starts the notebooks of ``job``, see :func:`notebooks.run_notebook`."""

        def begin(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> notebooks.Process:
            request = {"arguments": list(arguments), "log": str(log), "environment": dict(environment)}
            with contextlib.suppress(EOFError, OSError):
                return self._of(job).copy(request)
            return notebooks.start(arguments, log, environment)

        return begin

    def said(self, job: Job, module: str, asked: str) -> str | None:
        """What ``python -m module`` prints with ``asked`` as its standard input, from a copy of the server of ``job``.

        None where that failed.
        """
        files = {name: str(Path(self._folder.name) / f"{module}.{name}") for name in ("asked", "said")}
        Path(files["asked"]).write_text(asked, "utf-8")
        with contextlib.suppress(EOFError, OSError, subprocess.TimeoutExpired):
            if self._of(job).copy({"module": module, **files}).wait(_CHECK_SECONDS) == 0:
                return Path(files["said"]).read_text("utf-8")
        return None

    def _of(self, job: Job) -> "_Server":
        framework = registry.find(job.study).training(job.stage).predictor.rpartition(".")[0]
        with self._lock:
            if framework not in self._servers:
                address = Path(self._folder.name) / str(len(self._servers))
                self._servers[framework] = _Server(address, imports(job))
            return self._servers[framework]


class Forked:
    """A copy of a server, which the server waits for."""

    def __init__(self, pid: int, server: connection.Connection) -> None:
        self.pid, self._server = pid, server

    def wait(self, timeout: float) -> int:
        """Its exit code; -9 where it was lost with its server. Raises ``subprocess.TimeoutExpired``."""
        if not self._server.poll(timeout):
            raise subprocess.TimeoutExpired("notebook", timeout)
        with contextlib.suppress(EOFError, OSError):
            return self._server.recv()
        return -9


class _Server:
    def __init__(self, address: Path, statements: list[str]) -> None:
        self._address = str(address)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medseg.experiments.preload_server", self._address],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD}, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin
        with self._process.stdin as stream:
            stream.write(json.dumps(statements).encode())

    def copy(self, request: Mapping[str, Any]) -> Forked:
        """A copy that does what is asked for. Raises EOFError or OSError: the server has failed."""
        while not Path(self._address).exists() and self._process.poll() is None:
            time.sleep(_POLL_SECONDS)
        caller = connection.Client(self._address, "AF_UNIX")
        caller.send(request)
        return Forked(caller.recv(), caller)

    def end(self) -> None:
        """End it, and what is still running of its copies."""
        notebooks.end_process_tree(self._process.pid)
        self._process.wait()


def imports(job: Job) -> list[str]:
    """The statements with which the notebooks of a job import, and the module that predicts."""
    training = registry.find(job.study).training(job.stage)
    found = []
    for stage in (job.stage, EVALUATE):
        notebook = json.loads((project.root() / "notebooks" / job.study / f"{stage}.ipynb").read_text("utf-8"))
        for cell in notebook["cells"]:
            with contextlib.suppress(SyntaxError):  # of a cell with a magic command
                body = ast.parse("".join(cell["source"])).body if cell["cell_type"] == "code" else []
                found += [ast.unparse(line) for line in body if isinstance(line, ast.Import | ast.ImportFrom)]
    return [*dict.fromkeys(found), f"import {training.predictor}"]
