"""Sweep files: from YAML to the list of runs it asks for. Nothing starts before the whole file is understood."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medseg import atomic, project
from medseg.datasets import sample
from medseg.datasets.index import PreparedDataset
from medseg.datasets.texts import read_keys
from medseg.errors import MedsegError
from medseg.experiments import equal_terms, params
from medseg.experiments.job import Job
from medseg.experiments.runs import Run, prepare_run

#: Keys of a sweep file that a profile replaces; what else it has are parameters.
_REPLACED = ("data", "runs", "grid", "seeds", "budget")


class _SweepFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    study: str
    title: str
    train: str
    data: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    runs: list[dict[str, Any]] = Field(default=[{}])
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    seeds: Any = None
    budget: Any = None
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun(Job):
    """One run of a sweep, and the parameters by which it differs from the others."""

    varied: dict[str, Any]

    @property
    def run(self) -> Run:
        """Its folder as a run."""
        return Run(self.folder)


@dataclass(frozen=True)
class Sweep:
    """A sweep that was read and checked."""

    name: str  # ``STUDY-FILE`` or ``STUDY-FILE-PROFILE``; names the report
    study: str
    title: str
    file: Path
    profile: str
    planned: list[PlannedRun]  # in the order of the file
    terms: str = ""  # seeds and budget of every row in words, see :func:`equal_terms.described`


def load(file: Path, profile: str = "") -> Sweep:
    """Read a sweep file. Rows of ``runs`` are each combined with the product of ``grid``, and repeated with ``seeds``.

    ``seeds`` and ``budget`` are as :mod:`medseg.experiments.equal_terms` says. A profile's keys override parameters of
    every row, but for what rows or a grid of its own say; its ``data``, ``runs``, ``grid``, ``seeds`` and ``budget``
    replace those of the file. A :class:`MedsegError` names the file, the row and the nearest valid key: not YAML, an
    unknown key, a wrong type, an unknown notebook or profile, missing data, seeds or a budget that cannot be, or two
    rows that ask the same.
    """
    here = project.display(file)
    content = _content(file)
    if profile:
        if profile not in content.profiles:
            known = ", ".join(content.profiles) or "none"
            raise MedsegError(f"{here} has no profile {profile!r}. It has: {known}.")
        override: dict[str, Any] = dict(content.profiles[profile])
        replaced = {key: override.pop(key) for key in _REPLACED if key in override}
        content = _parse(content.model_dump() | replaced, f"{here}, profile {profile}")
    else:
        override = {}
    schema = params.read_schema(project.root() / "notebooks" / content.study / f"{content.train}.ipynb")
    datasets: dict[str, PreparedDataset] = {}
    planned: dict[str, PlannedRun] = {}
    rows, common = _rows(content), {**content.parameters, **override}
    granted = equal_terms.granted(content.budget, rows, common, here)
    repeats = equal_terms.repeats(content.seeds, rows, common, schema, here)
    own = _asked(content.profiles[profile]) if profile else set()
    overridden = [row | {key: override[key] for key in override if key not in own or key not in row} for row in rows]
    every = [{**row, **granted, **repeat} for row in overridden for repeat in repeats]
    for number, row in enumerate(every, 1):
        where = f"{here}, run {number}" + (f" of profile {profile}" if profile else "")
        parameters = schema.complete({"data": content.data, **content.parameters, **row}, where)
        data = parameters["data"]
        if data not in datasets:
            try:
                datasets[data] = sample.load(data)
            except MedsegError as error:
                raise MedsegError(f"{where}: {error}") from None
        try:
            run = prepare_run(content.study, content.train, parameters, datasets[data])
        except MedsegError as error:
            raise MedsegError(f"{where}: {error}") from None
        if run.id in planned:
            raise MedsegError(f"{where}: asks the same as an earlier run ({row}). Remove one of the two.")
        planned[run.id] = PlannedRun(run.folder, content.study, content.train, parameters, row)
    name = "-".join(word for word in (content.study, file.stem, profile) if word)
    terms = equal_terms.described(repeats, granted)
    return Sweep(name, content.study, content.title, file, profile, _only_varied(list(planned.values())), terms)


def _asked(profile: dict[str, Any]) -> set[str]:
    """Names of the parameters in a profile's own rows and grid."""
    return {name for row in profile.get("runs") or () for name in row} | set(profile.get("grid") or ())


def read_rows(file: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of a sweep file as they are written, and the parameters that each gives, without its seeds.

    The data need not be there. Raises MedsegError: no such file, not YAML, an unknown key, a budget that cannot be.
    """
    content = _content(file)
    rows = _rows(content)
    granted = equal_terms.granted(content.budget, rows, content.parameters, project.display(file))
    return [(row, {**content.parameters, **row, **granted}) for row in rows]


def record_file(name: str) -> Path:
    """Where a started sweep is noted: ``reports/sweeps/NAME.json``."""
    return project.reports_folder() / "sweeps" / f"{name}.json"


def write_record(sweep: Sweep) -> None:
    """Note which runs belong to ``sweep``, for its report and for the index of all reports."""
    atomic.write_json(
        record_file(sweep.name),
        {
            "study": sweep.study,
            "name": sweep.name,
            "profile": sweep.profile,
            "title": sweep.title,
            "file": project.display(sweep.file),
            "run_ids": [planned.run.id for planned in sweep.planned],
            "report": f"{sweep.name}.html",
        },
    )


def read_record(name: str) -> dict[str, Any]:
    """The note of a started sweep; a :class:`MedsegError` where there is none of that name, or it is damaged."""
    try:
        record = json.loads(record_file(name).read_text("utf-8"))
        return {**record, "run_ids": list(record["run_ids"])}
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in record_file(name).parent.glob("*.json"))) or "none"
        raise MedsegError(f"No sweep {name!r} was started here. Started: {known}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MedsegError(
            f"{project.display(record_file(name))} cannot be read as the note of a sweep ({type(error).__name__}: "
            f"{error}). Repeat the sweep, which writes it anew; finished runs are skipped."
        ) from error


def _content(file: Path) -> _SweepFile:
    here = project.display(file)
    if not file.exists():
        known = ", ".join(
            project.display(path) for path in sorted((project.root() / "notebooks").glob("*/sweeps/*.yaml"))
        )
        raise MedsegError(f"No sweep file {here}. The project has: {known or 'none'}.")
    return _parse(read_keys(file, "study, train, data and runs"), here)


def _parse(raw: Mapping[str, Any], where: str) -> _SweepFile:
    try:
        return _SweepFile.model_validate(raw)
    except ValidationError as error:
        faults = []
        for entry in error.errors():
            place = ".".join(str(part) for part in entry["loc"])
            if entry["type"] == "extra_forbidden":
                faults.append(params.unknown_key(place, _SweepFile.model_fields))
            elif entry["type"] == "missing":
                faults.append(f"the key {place!r} is missing.")
            else:
                found = entry["input"]
                faults.append(f"{place}: found {found!r} ({type(found).__name__}); {entry['msg'].lower()}.")
        raise MedsegError("\n".join([f"{where}:", *(f"  - {fault}" for fault in faults)])) from None


def _rows(content: _SweepFile) -> list[dict[str, Any]]:
    points = [dict(zip(content.grid, values, strict=True)) for values in itertools.product(*content.grid.values())]
    return [{**row, **point} for row in content.runs for point in points]


def _only_varied(planned: list[PlannedRun]) -> list[PlannedRun]:
    """Keep in ``varied`` what differs between at least two runs."""
    names = {
        name
        for name in planned[0].parameters
        if any(p.parameters[name] != planned[0].parameters[name] for p in planned)
    }
    return [replace(p, varied={k: v for k, v in p.parameters.items() if k in names}) for p in planned]
