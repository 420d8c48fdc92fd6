"""What there is of runs, for a list, for a program that reads it, and to choose among them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import records, sweep
from medseg.experiments.runs import Run
from medseg.metrics.overlap import summarise

#: States that ``--failed`` asks for.
FAILED = ("failed", "unreadable")


def state(run: Run) -> str:
    """How far a run is: its status, ``evaluated`` once its cases are scored, ``brought`` where its masks were."""
    if run.fault:
        return "unreadable"
    if run.record.get("brought"):
        return "brought"
    return "evaluated" if run.evaluated else run.status


def error(run: Run) -> str:
    """Why a run failed, whole; empty where nothing is known to be wrong."""
    return run.fault or run.record.get("error") or ""


def described(run: Run) -> dict[str, Any]:
    """A run for a program: what is plain JSON of its record, its size on disk and its mean Dice on each test set.

    ``dice`` is as in :func:`medseg.metrics.overlap.summarise`, None for a test set of which nothing was scored; empty
    before the evaluation, or where ``cases.csv`` cannot be used.
    """
    record = records.known(run.folder)
    data = record.get("dataset", {})
    return {
        "study": run.folder.parent.name,
        "run_id": run.id,
        "folder": project.display(run.folder),
        "state": state(run),
        "error": error(run) or None,
        "stage": record.get("stage"),
        "parameters": record.get("parameters", {}),
        "data": {name: data.get(name) for name in ("name", "path", "fingerprint")},
        **{name: record.get(name) for name in ("started", "finished", "durations", "model", "device", "git")},
        "megabytes": round(size(run) / 1e6, 1),
        "dice": means(run),
    }


def means(run: Run) -> dict[str, float | None]:
    """Mean Dice of each test set; {} where the cases are not scored, or their table cannot be used."""
    if not run.evaluated:
        return {}
    try:
        summary = summarise(run.cases())
    except MedsegError:
        return {}
    found = zip(summary["test_set"], summary["mean_dice"], strict=True)
    return {str(name): None if value != value else round(float(value), 6) for name, value in found}


def size(run: Run, inside: str = "") -> int:
    """Bytes that a run, or the folder ``inside`` it, takes; several names of one file count once."""
    files = {}
    for path in (run.folder / inside).rglob("*"):
        if path.is_file():
            stat = path.stat()
            files[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(files.values())


def chosen(
    runs: Iterable[Run], *, states: Iterable[str] = (), where: Iterable[str] = (), of_sweep: str = ""
) -> list[Run]:
    """Those of ``runs`` that are in one of ``states``, have all parameters of ``where``, and belong to a sweep.

    Args:
        states: as :func:`state` gives them; empty: any.
        where: ``NAME=VALUE`` each; the value as a person writes it, a list as JSON.
        of_sweep: name of a started sweep; empty: of any or none.

    Raises:
        MedsegError: a condition without ``=``, a parameter that none of the runs has, or no such sweep.
    """
    found, conditions = list(runs), [_condition(text) for text in where]
    known = {name for run in found for name in _parameters(run)} if conditions else set()
    for name, _ in conditions:
        if found and name not in known:
            raise MedsegError(f"No run has a parameter {name!r}. They have: {', '.join(sorted(known)) or 'none'}.")
    ids = sweep.read_record(of_sweep)["run_ids"] if of_sweep else None
    wanted = set(states)
    return [
        run
        for run in found
        if (ids is None or run.id in ids)
        and (not wanted or state(run) in wanted)
        and all(_written(_parameters(run).get(name)) == value for name, value in conditions)
    ]


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise MedsegError(f"{text!r} is not of the form NAME=VALUE, such as backbone=resnet34.")
    return name.strip(), _written(_read(value.strip()))


def _parameters(run: Run) -> Mapping[str, Any]:
    return records.known(run.folder).get("parameters", {})


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _written(value: Any) -> str:
    """So that ``1e-4`` is 0.0001 and ``384.0`` is 384."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
