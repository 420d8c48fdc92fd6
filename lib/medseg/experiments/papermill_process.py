"""The program that executes one notebook: ``python -m ... PARENT_PID`` and what papermill's own command takes.

It cannot outlive the process that started it, and is taught to read our parameters cells: papermill finds parameters
with a regular expression that knows no ``Literal[...]`` and no ``=`` in a comment, and warns about others as "unknown".
"""

import ast
import contextlib
import ctypes
import os
import signal
import sys
import threading
from typing import Any

import psutil
from papermill.cli import papermill
from papermill.models import Parameter
from papermill.translators import PythonTranslator, papermill_translators

from medseg.experiments import params

_POLL_SECONDS = 1.0


class AnnotatedParameters(PythonTranslator):
    """Values are written as papermill writes them; names are read from the syntax of the cell."""

    @classmethod
    def inspect(cls, parameters_cell: Any) -> list[Parameter]:
        """Every ``name: type = value  # meaning`` of the cell."""
        source = parameters_cell["source"]
        meanings = params.meanings(source)
        return [
            Parameter(
                name=node.target.id,
                inferred_type_name=ast.unparse(node.annotation),
                default=ast.unparse(node.value),
                help=meanings.get(node.target.id, ""),
            )
            for node in ast.parse(source).body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
        ]


def _ask_linux(parent: int) -> None:
    """Have the kernel kill this process at its parent's death."""
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
    started_by = int(sys.argv.pop(1))
    (_ask_linux if sys.platform == "linux" else watch)(started_by)
    papermill_translators.register("python", AnnotatedParameters)
    papermill()
