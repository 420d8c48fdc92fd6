"""A run's tables and their checksums: one that lost rows since it was complete is an error, never another mean.

``run.json`` has under ``tables``, for ``history.csv`` from the end of the training and for the others from that of the
evaluation, ``{"rows": n, "sha256": "..."}``; for the folder ``predictions`` ``{"files": n, "sha256": "..."}``, the
latter of lines ``SHA256  NAME`` in the order of the names, as the program sha256sum writes them.
"""

import functools
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments.identity import fold_of
from medseg.metrics.overlap import COUNTS

HISTORY, PREDICTIONS = "history.csv", "predictions"
#: What an evaluation leaves; ``checkpoints.csv`` not in every study, ``calibration.csv`` not of masks that were
#: brought, and neither of the last two tables in runs that were scored before there were any.
EVALUATED = ("cases.csv", "checkpoints.csv", "objects.csv", "calibration.csv", PREDICTIONS)
_TEXTS = {"case_id": str, "group": str, "test_set": str, "class": str}


def checksums(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Of those of ``names`` that a run's folder has."""
    found = {}
    for name in names:
        if (folder / name).is_dir():
            found[name] = _of_folder(folder / name)
        elif (folder / name).is_file():
            found[name] = _of_bytes((folder / name).read_bytes())
    return found


def read(folder: Path, name: str, record: Mapping[str, Any]) -> pd.DataFrame:
    """A table of a run, as it was when it was complete.

    Args:
        folder: of the run.
        name: ``history.csv`` or one of :data:`EVALUATED`; it is there.
        record: of the run. One without a checksum of the table is of before there were any; then is checked that the
            file does not end within a line, that ``cases.csv`` has as many cases as were scored, with all their
            classes, and ``history.csv`` every epoch of a finished training.

    Raises:
        MedsegError: the table is not what was written, or cannot be read; the message says how to make it again.
    """
    data = _as_written(folder, name, record)
    try:
        table = pd.read_csv(io.BytesIO(data), dtype=_TEXTS)
    except ValueError as error:  # also that of an empty file
        raise _refused(folder, name, record, f"cannot be read ({error})") from error
    if not record.get("tables", {}).get(name):
        lost = {"cases.csv": _lost, HISTORY: _lost_epochs}.get(name)
        fault = lost(table, record) if lost else ""
        if fault := fault or ("ends in the middle of a line" if data[-1:] != b"\n" else ""):
            raise _refused(folder, name, record, fault)
    return table


def check(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    """Raise what :func:`read` raises; where the table's checksum is on record that takes no more than the checksum."""
    if record.get("tables", {}).get(name):
        _as_written(folder, name, record)
    else:
        read(folder, name, record)


def predictions(folder: Path, test_set: str, record: Mapping[str, Any]) -> pd.DataFrame:
    """``predictions/TEST_SET.csv``: image_name, class and rle, all texts.

    All files of the folder are checked; those that were before are not read again while size and time are the same.

    Raises:
        MedsegError: there is none, it cannot be read, or the files are not those that were scored.
    """
    expected = record.get("tables", {}).get(PREDICTIONS)
    if expected and (found := _of_folder(folder / PREDICTIONS)) != expected:
        raise _refused(folder, PREDICTIONS, record, _difference(found, expected, "files"))
    name = f"{PREDICTIONS}/{test_set}.csv"
    try:
        return pd.read_csv(folder / name, dtype=str, keep_default_na=False)[["image_name", "class", "rle"]]
    except (OSError, KeyError, ValueError) as error:
        raise _refused(folder, name, record, f"cannot be read ({error})") from error


def _as_written(folder: Path, name: str, record: Mapping[str, Any]) -> bytes:
    """The content of a table, which is that of the checksum where one is on record."""
    data, expected = (folder / name).read_bytes(), record.get("tables", {}).get(name)
    if expected and (found := _of_bytes(data)) != expected:
        raise _refused(folder, name, record, _difference(found, expected, "rows"))
    return data


def _of_bytes(data: bytes) -> dict[str, Any]:
    lines = data.count(b"\n") + (data[-1:] not in (b"", b"\n"))
    return {"rows": max(0, lines - 1), "sha256": hashlib.sha256(data).hexdigest()}


def _of_folder(folder: Path) -> dict[str, Any]:
    stamps = []
    for path in sorted(folder.glob("*.csv")):
        if not path.name.startswith("."):
            stat = path.stat()
            stamps.append((path.name, stat.st_size, stat.st_mtime_ns))
    return dict(_of_files(folder, tuple(stamps)))


@functools.lru_cache(maxsize=1024)
def _of_files(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> Mapping[str, Any]:
    digest = hashlib.sha256()
    for name, _, _ in stamps:
        digest.update(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return {"files": len(stamps), "sha256": digest.hexdigest()}


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any], counted: str) -> str:
    numbers = [f"{entry.get(counted)} {counted} (sha256 {str(entry.get('sha256'))[:8]})" for entry in (found, expected)]
    return f"has {numbers[0]}, expected {numbers[1]} as they were written"


def _lost(table: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """What is missing in a table of cases by the numbers in the record, in words; empty where that is nothing."""
    counts = record.get("dataset", {}).get("counts") or {}  # as prepared: no matter where a fold is held out
    prepared = counts.get("test_sets") if fold_of(record) is None and "brought" not in record else None
    scored = (record.get("evaluation") or {}).get("n_cases") or prepared
    if not scored:
        return ""
    lacking = [name for name in ("test_set", "case_id", "class", *COUNTS) if name not in table]
    if lacking:
        return f"has no column {', '.join(lacking)}"
    found = table.groupby("test_set")["case_id"].nunique()
    short = {name: (found.get(name, 0), number) for name, number in scored.items() if found.get(name, 0) != number}
    if short:
        said = ", ".join(f"{has} cases of {name}, expected {number}" for name, (has, number) in short.items())
        return f"has {len(table)} rows with {said}"
    expected = sum(scored.values()) * table["class"].nunique()
    if len(table) != expected or table[list(COUNTS)].isna().any(axis=None):
        return f"has {len(table)} rows, not all of them whole, expected {expected}: one for each case and class"
    return ""


def _lost_epochs(table: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """What is missing in a history by the numbers in the record, in words; empty where that is nothing."""
    if lacking := [name for name in ("epoch", "split") if name not in table]:
        return f"has no column {', '.join(lacking)}"
    trained, last = record.get("selection", {}).get("epochs_trained"), table["epoch"].max()
    if record.get("status") == "finished" and trained and not last >= trained:
        return f"ends with epoch {last:g}, expected {trained}"
    return ""


def _refused(folder: Path, name: str, record: Mapping[str, Any], fault: str) -> MedsegError:
    place = project.display(folder)
    if name == HISTORY:
        again = f"Delete {place}/run.json and repeat the sweep: its last checkpoint has the history where it was kept, "
        again += "else it is trained again"
    elif record.get("stage") == "brought":
        again = "Score what was brought again: medseg score FOLDER --data DATASET --as NAME"
    else:
        notebook = f"notebooks/{record.get('study')}/3_evaluate.ipynb"
        again = f"Score it again: repeat its sweep, or papermill {notebook} out.ipynb -p run_id {place}"
    return MedsegError(f"The run {folder.name} is not used: {name} {fault}. {again}.")
