"""A kernel that is forked before papermill begins, while the process has a single thread and everything imported.

It waits until papermill wants a kernel and then is the one that papermill's command would have started.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from subprocess import TimeoutExpired
from typing import Any, cast

from medseg.experiments import parent_death


class ForkedKernel:
    """A child process with those methods of :class:`subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, cast(int | None, None)
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None and connection.wait([self._handle], 0):
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._handle)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, once it has ended."""
        if self.returncode is None and not connection.wait([self._handle], timeout):
            raise TimeoutExpired("kernel", timeout or 0)
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def prepare() -> None:
    """Fork the kernel; papermill's next kernel is this one. In the kernel, this ends with the process."""
    from jupyter_client.provisioning import local_provisioner

    parent, (ours, theirs) = os.getpid(), connection.Pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.setsid()
        parent_death.ask_linux(parent)
        try:
            command, environment, folder = theirs.recv()
        except EOFError:
            sys.exit()  # papermill ended before it wanted a kernel
        _be_kernel(command, environment, folder)
        sys.exit()
    theirs.close()
    provisioner: Any = local_provisioner
    start = provisioner.launch_kernel

    def launch(cmd: Sequence[str], **options: Any) -> Any:
        provisioner.launch_kernel = start  # there is one; who wants another gets it in the ordinary way
        ours.send((list(cmd), dict(options["env"]), str(options.get("cwd") or os.getcwd())))
        ours.close()
        return ForkedKernel(pid)

    provisioner.launch_kernel = launch


def _be_kernel(command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    """What ``command``, ``python -m ipykernel_launcher ARGUMENTS``, does in a process of its own."""
    import matplotlib as mpl
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp

    os.environ.update(environment)
    mpl.rcParams["backend"] = os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    np.random.seed()  # noqa: NPY002 - the global state, which is the same in all copies; random renews its own
    os.chdir(folder)
    sys.argv = list(command[command.index("ipykernel_launcher") :])
    IPKernelApp.launch_instance()
