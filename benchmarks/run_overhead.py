"""What a run costs beyond its own work: the real notebooks, trained for a moment and evaluated, processor seconds.

Own work is what the cells compute in a process that has imported everything; beyond it a run pays for starting
processes, importing and executing notebooks. Straightforward: papermill and a kernel from nothing for each notebook.
Ours: both forked from a process that has imported what they import; what that process costs once is a row of its own.

    .venv/bin/python benchmarks/run_overhead.py [--json] [--case CASE ...]
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from medseg.experiments import slots

_SHORT = {"max_epochs": 1, "max_steps": 1, "resolution": 96}
CASES: dict[str, tuple[str, str, dict[str, Any], float]] = {
    "PyTorch": ("polyp", "2_train_torch", {"backbone": "resnet18", "workers": 0, **_SHORT}, 6.0),
    "Keras 2": ("polyp", "2_train_keras", {"backbone": "resnet18", "workers": 0, **_SHORT}, 10.0),
    "Keras 3": ("gastric", "2_train", {"size": "tiny", "workers": 0, **_SHORT}, 10.0),
}
_SLOT = {slots.GPUS: slots.NO_GPU, **dict.fromkeys(slots.THREADS, "1")}


def jobs(case: str, count: int) -> list:
    """Runs of a case, which differ in their seeds."""
    from medseg import project
    from medseg.datasets import sample
    from medseg.experiments.job import Job
    from medseg.experiments.params import read_schema
    from medseg.experiments.runs import prepare_run

    study, stage, short, _ = CASES[case]
    schema = read_schema(project.root() / "notebooks" / study / f"{stage}.ipynb")
    made = []
    for seed in range(1, count + 1):
        known = {name: value for name, value in short.items() if name in schema.model.model_fields}
        parameters = schema.complete({**known, "seed": seed}, case)
        run = prepare_run(study, stage, parameters, sample.load(parameters["data"]))
        made.append(Job(run.folder, study, stage, parameters))
    return made


def through_the_engine(case: str, count: int, forked: bool) -> float:
    """Processor seconds of ``count`` runs, everything that was started included."""
    from medseg.experiments import engine, preload

    if not forked:
        preload.possible = lambda slot: False
    asked = jobs(case, count)
    before = _of_children()
    outcomes = engine.run_local(asked, [_SLOT])
    if faults := [outcome.error for outcome in outcomes if outcome.outcome != "done"]:
        sys.exit(faults[0])
    return _of_children() - before


def own_work(case: str) -> float:
    """Processor seconds of the cells of training and evaluation, all imports done before."""
    from IPython.core.interactiveshell import InteractiveShell

    from medseg import project
    from medseg.experiments import preload, preload_server

    (job,) = jobs(case, 1)
    for line in [*(f"import {name}" for name in preload_server.LATE), *preload.imports(job)]:
        exec(line, {})
    shell, before = InteractiveShell.instance(), time.process_time()
    for stage, given in ((job.stage, job.parameters), ("3_evaluate", {"run_id": str(job.folder)})):
        notebook = json.loads((project.root() / "notebooks" / job.study / f"{stage}.ipynb").read_text("utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                with contextlib.redirect_stdout(io.StringIO()):
                    shell.run_cell("".join(cell["source"]), silent=True).raise_error()
                if "parameters" in cell["metadata"].get("tags", []):
                    shell.user_ns.update(given)
    return time.process_time() - before


def measure(case: str) -> list[dict[str, Any]]:
    """The rows of a case."""
    own, ordinary, one, three = (_in_a_process(case, part) for part in ("own", "ordinary 1", "forked 1", "forked 3"))
    ours = (three - one) / 2
    row = {"case": case, "metric": "processor seconds beyond own work", "own work": round(own, 1)}
    beyond, straightforward = max(ours - own, 0.0), max(ordinary - own, 0.0)
    return [
        {**row, "straightforward": round(straightforward, 1), "ours": round(beyond, 1), "bar": CASES[case][3]},
        {"case": case, "metric": "processor seconds of the imports, once", "ours": round(one - ours, 1)},
    ]


def _in_a_process(case: str, part: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **_SLOT, "MEDSEG_RUNS": str(Path(folder) / "runs")}
        command = [sys.executable, __file__, "--case", case, "--part", part]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{case}, {part}: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure the cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        kind, _, count = asked.part.partition(" ")
        case = asked.case[0]
        print(own_work(case) if kind == "own" else through_the_engine(case, int(count), kind == "forked"))
        return
    rows = [row for case in asked.case or CASES for row in measure(case)]
    if asked.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(row.pop("case"), row.pop("metric"), *(f"{name} {value}" for name, value in row.items()), sep="  ")


if __name__ == "__main__":
    main()
