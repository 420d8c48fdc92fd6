"""Whether a hundred runs stay handy: planning a sweep of 200, the report over 100 of 1,000 cases, 8 Dask workers.

There is no other way to compare with, but bars: ``most`` or ``least`` that a value may be. Each case has processes of
its own. Seconds are those of the processor, of all processes together, which other work on the machine changes little;
``memory`` is the peak of the largest process. Workers are told to sleep, so that it is the engine alone that is
measured: ``busy`` is the share of the time in which the least busy worker had a run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from drawn_runs import draw

from medseg.experiments import engine
from medseg.experiments.job import Job, Outcome

ROWS, RUNS, CASES, WORKERS, JOBS, SECONDS = 200, 100, 1000, 8, 48, 1.0
BARS = {
    ("plan", "seconds"): ("most", 3.0, "s"),
    ("plan", "checked"): ("most", 30.0, "s"),
    ("report", "seconds"): ("most", 30.0, "s"),
    ("report", "memory"): ("most", 1000.0, "MB"),
    ("report", "page"): ("most", 4.0, "MB"),
    ("cluster", "busy"): ("least", 0.9, ""),
}


def plan(folder: Path, rows: int = ROWS) -> dict[str, float]:
    """A sweep of 10 networks is read and shown; and checked by the framework too, which begins with importing it."""
    rates = [round(1e-4 * (1 + i), 6) for i in range(-(-rows // 20))]
    backbones = ["resnet18", "resnet34", "resnet50", "efficientnet-b0", "mobilenet_v2"]
    grid = {"backbone": backbones, "resolution": [64, 96], "loss": ["dice", "bce+dice"], "learning_rate": rates}
    content = {
        "study": "polyp", "title": "Many", "train": "2_train_torch", "data": "data/sample/polyp",
        "parameters": {"architecture": "smp-unet", "weights": "none"}, "grid": grid,
    }  # fmt: skip
    file = folder / "many.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    shown = "from pathlib import Path; from medseg.experiments import console, sweep; "
    shown += f"console.show_plan(sweep.load(Path({str(file)!r})))"
    plain = _used(["-c", shown], folder)["seconds"]
    return {
        "seconds": plain,
        "checked": _used(["-m", "medseg.cli", "sweep", str(file), "--dry-run"], folder)["seconds"] - plain,
    }


def report(folder: Path, runs: int = RUNS, cases: int = CASES) -> dict[str, float]:
    """``medseg report`` over drawn runs."""
    draw(folder / "drawn", runs, cases)
    found = _used(["-m", "medseg.cli", "report", "polyp", "--runs", str(folder / "drawn")], folder)
    return {**found, "page": (folder / "reports" / "kept" / "drawn" / "polyp.html").stat().st_size / 1e6}


def cluster(folder: Path, workers: int = WORKERS, jobs: int = JOBS, seconds: float = SECONDS) -> dict[str, float]:
    """Runs that only sleep, on workers of this machine."""
    from distributed import LocalCluster

    engine.run_job = _sleep  # type: ignore[assignment]
    planned = [Job(folder / str(i), "polyp", "2_train_torch", {"seconds": seconds}) for i in range(jobs)]
    resources: Any = {"resources": {"GPU": 1}, "dashboard_address": None, "protocol": "tcp://", "host": "127.0.0.1"}
    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **resources) as started:
        warm = [Job(folder / f"warm{i}", "polyp", "2_train_torch", {"seconds": seconds}) for i in range(workers)]
        engine.run_on_cluster(warm, started.scheduler_address, stop_file=folder / "STOP")
        outcomes = engine.run_on_cluster(planned, started.scheduler_address, stop_file=folder / "STOP")
    spans = [(*map(float, outcome.note.split()[:2]), outcome.note.split()[2]) for outcome in outcomes]
    whole = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
    busy = {worker: sum(end - start for start, end, own in spans if own == worker) for *_, worker in spans}
    return {"busy": min(busy.values()) / whole if len(busy) == workers else 0.0}


def _sleep(job: Job, slot: dict[str, str], timeout: float | None = None, stop: Any = None) -> Outcome:
    start = time.time()
    time.sleep(job.parameters["seconds"])
    return Outcome(job, "done", note=f"{start} {time.time()} {os.getpid()}")


def _used(command: list[str], folder: Path) -> dict[str, float]:
    """Run Python, runs and reports in ``folder``: what this and all commands before used, with what they started."""
    places = {"MEDSEG_RUNS": str(folder / "runs"), "MEDSEG_REPORTS": str(folder / "reports")}
    done = subprocess.run([sys.executable, *command], env={**os.environ, **places}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1e3}


CASES_OF = {"plan": plan, "report": report, "cluster": cluster}


def main() -> None:
    """Print every value with its bar as a table, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    parser.add_argument("--tiny", action="store_true", help="few of everything: whether it runs, not how long it takes")
    parser.add_argument("--case", choices=CASES_OF, action="append", help="this one alone; default: all")
    parser.add_argument("--measure", choices=CASES_OF, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        tiny = {"plan": (20,), "report": (3, 40), "cluster": (2, 4, 0.1)}[asked.measure] if asked.tiny else ()
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(CASES_OF[asked.measure](Path(folder), *tiny)))
        return
    results = []
    if not asked.json:
        print(f"{'case':<10}{'metric':<10}{'value':>12}{'bar':>18}")
    for case in asked.case or CASES_OF:
        command = [sys.executable, __file__, "--measure", case, *(["--tiny"] if asked.tiny else [])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        for metric, value in json.loads(done.stdout.splitlines()[-1]).items():
            way, bar, unit = BARS[case, metric]
            met = value <= bar if way == "most" else value >= bar
            results.append({"case": case, "metric": metric, "value": round(value, 3), way: bar, "met": met})
            if not asked.json:
                shown = f"{value:.2f} {unit}".strip()
                print(
                    f"{case:<10}{metric:<10}{shown:>12}{f'{way} {bar:g} {unit}'.strip():>18}{'' if met else '  missed'}"
                )
    if asked.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
