"""Keep finished runs as small tables: scores and records, without pictures, predictions, networks or machine paths.

So that a report can be built again where the data is not, and scores of patients' pictures be shown to anyone.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from medseg import atomic
from medseg.errors import MedsegError
from medseg.experiments import tables
from medseg.experiments.runs import KEPT, Run

DIGITS = 6  # significant ones of every measure; counts are whole numbers and stay exact
_TABLES = (tables.HISTORY, "cases.csv", "objects.csv", "calibration.csv")
_ABSOLUTE = re.compile(r"(?:[A-Za-z]:[\\/]|[\\/~])")
_SEPARATOR = re.compile(r"[\\/]")


def keep(run: Run, folder: Path) -> Run:
    """Write ``run.json`` and the tables of a finished, scored run to ``folder/STUDY/RUN``: history, cases, objects,
    calibration.

    Of a path of this machine its last name stays. The record says under ``kept`` that this is a copy; what needs
    pictures or predictions refuses it (:func:`medseg.experiments.runs.dataset_of`).

    Raises:
        MedsegError: the run is not scored yet, or a table of it is not what was written; nothing is written then.
    """
    if run.fault or not run.evaluated:
        raise MedsegError(f"The run {run.id} is not kept: {run.fault or f'{run.status}, not scored yet'}.")
    found = {name: run.table(name, "train it first") for name in _TABLES if (run.folder / name).is_file()}
    record = _without_paths(run.record)
    copy = Run(folder / run.folder.parent.name / run.id)
    for name, table in found.items():
        copy.write_table(name, _rounded(table))
    kept = f"its tables alone, rounded to {DIGITS} digits, without pictures, predictions and weights"
    sums = tables.checksums(copy.folder, tuple(found))
    atomic.write_json(copy.folder / "run.json", {**record, "tables": sums, KEPT: kept})
    return copy


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    floats = table.select_dtypes("float")
    return table.assign(**floats.map(lambda value: float(f"{value:.{DIGITS}g}")))


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_paths(entry) for entry in value]
    if isinstance(value, str) and _ABSOLUTE.match(value):
        return _SEPARATOR.split(value.rstrip("/\\"))[-1]
    return value
