"""Run one notebook in one papermill process; only here is papermill started.

A process for each notebook, because papermill changes the working directory of its own process: in threads, runs would
land in each other's folders. Success is exit code 0 and the file that the notebook had to write; the metadata of the
executed notebook calls itself completed even after its kernel died.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from medseg import atomic, project

# A port that was free when the kernel got it may be taken when it binds it; on a busy machine that happens.
_NO_KERNEL = re.compile(r"Kernel died before replying|Kernel didn't respond in")
_DEAD_KERNEL = re.compile(r"DeadKernelError|Kernel died|kernel appears to have died")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_POLL_SECONDS = 0.2


class Process(Protocol):
    """A process that executes a notebook: those members of :class:`subprocess.Popen` that are used here."""

    pid: int

    def wait(self, timeout: float) -> int:
        """The exit code; ``subprocess.TimeoutExpired`` where it still runs after ``timeout`` seconds."""


#: Starts papermill with arguments, writing what it says to a file, with these variables added to the environment.
Start = Callable[[Sequence[str], Path, Mapping[str, str]], Process]


def start(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Start papermill in a process of its own, from nothing."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "medseg.experiments.papermill_process", str(os.getpid()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            # A Ctrl-C in the terminal reaches only the sweep, which then ends the rest: on POSIX, and on Windows.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


@dataclass(frozen=True)
class Execution:
    """How one notebook ended."""

    outcome: str  # ``done``, ``failed`` (an error in a cell, or no result), ``timeout``, ``stopped`` (by ``stop``)
    error: str  # one or a few lines for a person; empty when done
    attempts: int  # processes started, at most three
    seconds: float  # wall time of all attempts
    log: Path  # papermill's own output


def run_notebook(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    result: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stop: threading.Event | None = None,
    begin: Start = start,
) -> Execution:
    """Execute ``notebook`` with ``parameters``, writing the executed notebook to ``output`` and beside it the log.

    The working directory is the folder of ``output``; the notebook must write ``result`` anew, within ``timeout``
    seconds (None: no limit), unless ``stop`` ends it at once. Retried once when the kernel did not start, and once when
    it or papermill itself died; never after an error that a cell raised. ``begin`` starts papermill.
    """
    folder = output.parent
    log = folder / "papermill.log"
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    attempt, retries = 0, {"start": 1, "death": 1}
    before = _stamp(result)  # a kernel that outlived its papermill for a moment may have written it
    while True:
        attempt += 1
        code, how = _attempt(notebook, output, parameters, log, environment, timeout, stop, begin)
        text = _ANSI.sub("", log.read_text("utf-8", errors="replace"))
        if how == "ended" and code == 0 and _stamp(result) not in (None, before):
            outcome, error = "done", ""
        elif how == "ended" and code == 0:
            outcome, error = "failed", f"{notebook.name} ended without writing {project.display(result)}"
        elif how == "ended":
            outcome, error = "failed", _error_of(text, code)
            cause = "start" if _NO_KERNEL.search(text) else "death" if code < 0 or _DEAD_KERNEL.search(text) else ""
            if retries.get(cause):
                retries[cause] -= 1
                continue
        else:
            outcome = how
            error = f"ended after {timeout:.0f} s, its time limit" if how == "timeout" else "stopped"
        break
    return Execution(outcome, error, attempt, time.monotonic() - started, log)


def _attempt(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    log: Path,
    environment: Mapping[str, str] | None,
    timeout: float | None,
    stop: threading.Event | None,
    begin: Start,
) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="medseg-") as temporary:
        # papermill reads even JSON as YAML 1.1, in which JSON's 1e-05 is a text; YAML's own writer says 1.0e-05.
        values = Path(temporary) / "parameters.yaml"
        atomic.write_text(values, yaml.safe_dump(dict(parameters)))
        arguments = [
            str(notebook), str(output), "-f", str(values), "--cwd", str(output.parent), "-k", "python3",
            "--no-progress-bar", "--start-timeout", "180", "--autosave-cell-every", "60",
        ]  # fmt: skip
        process = begin(arguments, log, {"PYDEVD_DISABLE_FILE_VALIDATION": "1", **(environment or {})})
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                try:
                    return process.wait(_POLL_SECONDS), "ended"
                except subprocess.TimeoutExpired:
                    if stop is not None and stop.is_set():
                        return -1, "stopped"
                    if deadline is not None and time.monotonic() > deadline:
                        return -1, "timeout"
        finally:
            end_process_tree(process.pid)


def end_process_tree(pid: int, patience: float = 5.0) -> None:
    """End a process and all its descendants: politely first, by force after ``patience`` seconds."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        _, family = psutil.wait_procs(family, timeout=patience)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Identity of a file's present content: a rewritten file is a new inode with a new time."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _error_of(log: str, code: int) -> str:
    """The last error that the log speaks of, in a line or two."""
    if _NO_KERNEL.search(log):
        return "the notebook's kernel did not start, also on a second try"
    if code < 0 or _DEAD_KERNEL.search(log):
        killer = f"signal {-code}" if code < 0 else "most often the system ran out of memory"
        return f"the notebook's process died ({killer}), also on a second try"
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", line)]
    if starts:  # a message for a person needs no name of an exception before it
        lines[starts[-1]] = re.sub(r"^(medseg\.errors\.)?MedsegError: ", "", lines[starts[-1]])
    return "\n".join(lines[starts[-1] :][:12]) if starts else "\n".join(lines[-3:]) or f"exit code {code}"
