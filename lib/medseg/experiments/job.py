"""One run from its parameters to its scored cases: training and evaluation, a process each."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets import sample
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, tables
from medseg.experiments.notebooks import Execution, Start, run_notebook, start
from medseg.experiments.params import read_schema
from medseg.experiments.runs import Run, prepare_run

EVALUATE = "3_evaluate"
#: Tells a training how often its batch was halved after it ran out of memory; the gradients of as many batches are
#: accumulated, so the question stays the same.
HALVINGS_VARIABLE = "MEDSEG_BATCH_HALVINGS"
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Job:
    """One run to train and to evaluate; plain enough to travel to another machine of the cluster."""

    folder: Path
    study: str
    stage: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``done``, ``skipped``, ``failed``, ``timeout`` or ``stopped``; ``error`` says why.

    ``note`` is what a person should know of one that is done.
    """

    job: Job
    outcome: str
    error: str = ""
    seconds: float = 0.0
    log: Path | None = None
    note: str = ""


def run_job(
    job: Job, slot: dict[str, str], timeout: float | None = None, stop: Any = None, begin: Start = start
) -> Outcome:
    """Train (unless finished) and evaluate one run, each in a process of its own, allowed ``timeout`` seconds.

    ``slot`` has environment variables, such as ``CUDA_VISIBLE_DEVICES``; the event ``stop`` ends the job when set;
    ``begin`` starts the notebooks.
    """
    run = Run(job.folder)
    if run.evaluated and not run.damaged and not _fault_of_history(run):
        return Outcome(job, "skipped")
    seconds = 0.0
    known = run.record.get("begun_anew", "")
    if run.record.get("status") == "finished" and (fault := _fault_of_scored(run) or _fault_of_history(run)):
        run.update(status="running", error=fault)  # held by nobody, so interrupted: its training sees why
    environment = {**slot, project.RUNS_VARIABLE: str(job.folder.parent.parent)}
    if run.record.get("status") != "finished":
        train = partial(_stage, job, job.stage, job.parameters, "run.json", timeout=timeout, stop=stop, begin=begin)
        done = train(environment)
        if done.outcome == "failed" and OUT_OF_MEMORY in (run.record.get("error") or "").lower():
            done = train({**environment, HALVINGS_VARIABLE: "1"})
        seconds += done.seconds
        if done.outcome == "done" and run.record.get("status") != "finished":
            done = replace(done, outcome="failed", error=run.record.get("error") or "ended before the training did")
        if done.outcome != "done":
            return _ended(job, run, done, seconds)
    anew = run.record.get("begun_anew", "")
    note = f"trained again from the start: {anew}" if anew != known else ""
    evaluate = partial(_stage, job, EVALUATE, {"run_id": str(job.folder)}, "cases.csv")
    done = evaluate(environment, timeout=timeout, stop=stop, begin=begin)
    return replace(_ended(job, run, done, seconds + done.seconds), note=note)


def _fault_of_history(run: Run) -> str:
    """What is wrong with a history that the last checkpoint has as well; empty where nothing is."""
    if tables.HISTORY not in run.record.get("tables", {}) or not any(run.checkpoints.glob("last*")):
        return ""
    try:
        run.history()
    except MedsegError as error:
        return str(error)
    return ""


def _fault_of_scored(run: Run) -> str:
    """What is damaged of the checkpoints that an evaluation scores; empty where nothing is."""
    every = "checkpoints" in run.record.get("selection", {})  # Keras 3 scores the latest as well
    return checkpoints.fault_in(run.checkpoints, "" if every else "best")


def _stage(
    job: Job, stage: str, parameters: dict[str, Any], result: str, environment: dict[str, str], **limits: Any
) -> Execution:
    notebook = project.root() / "notebooks" / job.study / f"{stage}.ipynb"
    output, written = job.folder / notebook.name, job.folder / result
    return run_notebook(notebook, output, parameters, result=written, environment=environment, **limits)


def _ended(job: Job, run: Run, done: Execution, seconds: float) -> Outcome:
    if done.outcome in ("failed", "timeout"):
        run.fail(done.error)
    return Outcome(job, done.outcome, done.error, seconds, done.log)


def default_run(study: str, stage: str) -> Run:
    """The finished run of a training notebook as it stands, on sample data; trained now where it is missing.

    A :class:`MedsegError` where the training did not end well.
    """
    notebook = project.root() / "notebooks" / study / f"{stage}.ipynb"
    parameters = read_schema(notebook).complete({}, project.display(notebook))
    run = prepare_run(study, stage, parameters, sample.load(parameters["data"]))
    if run.record.get("status") != "finished":
        done = _stage(Job(run.folder, study, stage, parameters), stage, parameters, "run.json", {})
        if run.record.get("status") != "finished":
            raise MedsegError(f"The default run of {stage} failed: {done.error} (log: {project.display(done.log)}).")
    return run
