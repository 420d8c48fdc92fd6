"""Refuse what cannot work before a sweep starts: unknown architectures, backbones, losses; data that lacks a split."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from medseg import project, registry
from medseg.datasets import sample, splits
from medseg.datasets.index import SPLITS
from medseg.errors import MedsegError
from medseg.experiments.job import Job

#: What a module, the second argument, prints of the third; the job says which framework it is of.
Said = Callable[[Job, str, str], str | None]
_SEEDS = 2**32  # the fewest that one of the frameworks and NumPy take


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
        except Exception as error:  # one row that nobody thought of is not the end of the others
            verdicts.append(Verdict(f"The check of a run failed ({type(error).__name__}: {error})."))
    print(json.dumps(verdicts))


def check(jobs: Sequence[Job], said: Said = lambda job, module, asked: None) -> list[Verdict]:
    """Ask the framework of each training notebook, in a process of its own, whether it can do what ``jobs`` want.

    ``said`` may know a quicker way to such a process, see :meth:`medseg.experiments.preload.Servers.said`. The study
    names the module that checks; it gets the parameters as JSON on its standard input and prints a JSON list with a
    fault, empty where all is well, and facts for each job. Without any framework it is looked whether the runs can be
    written, and their data has cases to train on, to choose by and to score.
    """
    check_place(jobs)
    verdicts = [Verdict("")] * len(jobs)
    by_module: dict[str, list[int]] = {}
    for i, job in enumerate(jobs):
        module = registry.find(job.study).training(job.stage).checker
        if module:
            by_module.setdefault(module, []).append(i)
    with ThreadPoolExecutor(2) as pool:  # each imports its framework for some seconds
        answers = pool.map(_ask, by_module, ([jobs[i] for i in n] for n in by_module.values()), itertools.repeat(said))
        for numbers, given in zip(by_module.values(), answers, strict=True):
            for i, verdict in zip(numbers, given, strict=True):
                verdicts[i] = verdict
    lacking: dict[tuple[str, int], str] = {}
    for i, job in enumerate(jobs):
        where = job.parameters.get("data", ""), job.parameters.get("fold", -1)
        if where[0] and not verdicts[i].fault:
            if where not in lacking:
                lacking[where] = lacking_split(*where)
            verdicts[i] = verdicts[i]._replace(fault=lacking[where])
    return verdicts


def _ask(module: str, jobs: Sequence[Job], said: Said) -> list[Verdict]:
    asked = json.dumps([job.parameters for job in jobs])
    printed = said(jobs[0], module, asked)
    if printed is None:
        command = [sys.executable, "-m", module]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{module} could not check the runs:\n{done.stderr[-2000:]}")
        printed = done.stdout
    return [Verdict(*verdict) for verdict in json.loads(printed.splitlines()[-1])]


def check_seed(parameters: Mapping[str, Any]) -> None:
    """Refuse a seed that not every source of random numbers takes: a :class:`MedsegError`."""
    seed = parameters.get("seed", 0)
    if not 0 <= seed < _SEEDS:
        raise MedsegError(f"seed is {seed}, expected a whole number from 0 to {_SEEDS - 1}.")


def check_place(jobs: Sequence[Job]) -> None:
    """Refuse a folder of runs that this user cannot write to: a :class:`MedsegError`."""
    for folder in dict.fromkeys(job.folder.parent for job in jobs):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            what = "may not be written to" if there.is_dir() else "is a file"
            raise MedsegError(
                f"The runs would be written to {project.display(folder)}, but {project.display(there)} {what}. Change "
                f"its permissions, or choose another folder with the environment variable {project.RUNS_VARIABLE}."
            )


def lacking_split(data: str, fold: int) -> str:
    """Which split has no case once ``fold`` is held out (-1: as prepared), for a person; empty where none."""
    try:
        dataset = splits.hold_out(sample.load(data), fold)
    except MedsegError as error:
        return str(error)
    empty = [name for name in SPLITS if dataset.split(name).empty]
    if not empty:
        return ""
    needs = "a training needs train and validation, its evaluation test"
    return f"{project.display(dataset.folder)} has no case in {' and '.join(empty)}; {needs}. Prepare it again."
