"""Refuse what cannot work before a sweep starts: unknown architectures, backbones, losses."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from medseg import registry
from medseg.errors import MedsegError
from medseg.experiments.job import Job


class Verdict(NamedTuple):
    """What a check says of a run: why it cannot work, empty where it can; and facts about it, such as its size."""

    fault: str
    facts: str = ""


def answer(check_one: Callable[[Mapping[str, Any]], str | None]) -> None:
    """The main program of a module that checks: every parameter set of the standard input, the verdicts printed."""
    verdicts = []
    for parameters in json.load(sys.stdin):
        try:
            verdicts.append(Verdict("", check_one(parameters) or ""))
        except MedsegError as error:
            verdicts.append(Verdict(str(error)))
    print(json.dumps(verdicts))


def check(jobs: Sequence[Job]) -> list[Verdict]:
    """Ask the framework of each training notebook, in a process of its own, whether it can do what ``jobs`` want.

    The study names the module that checks; it gets the parameters as JSON on its standard input and prints a JSON
    list with a fault, empty where all is well, and facts for each job.
    """
    verdicts = [Verdict("")] * len(jobs)
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
        for i, said in zip(numbers, json.loads(done.stdout.splitlines()[-1]), strict=True):
            verdicts[i] = Verdict(*said)
    return verdicts
