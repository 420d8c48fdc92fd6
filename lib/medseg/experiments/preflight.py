"""Refuse what cannot work before a sweep starts: unknown architectures, backbones, losses."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medseg import registry
from medseg.errors import MedsegError
from medseg.experiments.job import Job


def answer(check_one: Callable[[Mapping[str, Any]], None]) -> None:
    """The main program of a module that checks: every parameter set of the standard input, the messages printed."""
    messages = []
    for parameters in json.load(sys.stdin):
        try:
            check_one(parameters)
            messages.append("")
        except MedsegError as error:
            messages.append(str(error))
    print(json.dumps(messages))


def check(jobs: Sequence[Job]) -> list[str]:
    """Ask the framework of each training notebook, in a process of its own, whether it can do what ``jobs`` want.

    The study names the module that checks; it gets the parameters as JSON on its standard input and prints a JSON
    list with one message per job, empty where all is well.
    """
    messages = [""] * len(jobs)
    by_module: dict[str, list[int]] = {}
    for i, job in enumerate(jobs):
        module = registry.find(job.study).training(job.stage).checker
        if module:
            by_module.setdefault(module, []).append(i)
    for module, numbers in by_module.items():
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=json.dumps([jobs[i].parameters for i in numbers]),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{module} could not check the runs:\n{done.stderr[-2000:]}")
        for i, message in zip(numbers, json.loads(done.stdout.splitlines()[-1]), strict=True):
            messages[i] = message
    return messages
