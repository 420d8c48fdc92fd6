"""Run a module so that it cannot outlive the process that started it: ``python -m ... PARENT_PID MODULE ARGS``."""

import ctypes
import os
import signal
import sys


def main() -> None:
    """Ask Linux for a kill signal at the parent's death, then become ``python -m MODULE ARGS``."""
    parent, module, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h; kept across exec
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != int(parent):  # the parent died before the signal was set
            sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    main()
