"""``run.json``, read with care: one that cannot be used must not stop what looks through many runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg import project
from medseg.errors import MedsegError

NAME = "run.json"
_AGAIN = (
    "Remove this file and repeat the sweep of the run: it goes on from its last checkpoint where that was kept, and is "
    "else trained again from the start. "
    "Masks that were brought are scored again with 'medseg score'."
)
#: What every stage after a training asks of the record of a finished run.
_NEEDED: Mapping[str, type] = {"study": str, "stage": str, "parameters": dict, "dataset": dict}


def read(folder: Path) -> dict[str, Any]:
    """The record in the folder of a run as it is now, {} where there is none.

    Raises:
        MedsegError: it may not be read, is not JSON, or is not a record; the message says what to do.
    """
    path = folder / NAME
    try:
        record = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MedsegError(
            f"{project.display(path)} cannot be read ({error.strerror or error}). Give yourself the right to read it."
        ) from error
    except (ValueError, RecursionError) as error:
        what = "is empty" if not path.stat().st_size else f"is not valid JSON ({error})"
        raise MedsegError(f"{project.display(path)} {what}. {_AGAIN}") from error
    if not isinstance(record, dict):
        found = f"a {type(record).__name__}"
    else:
        wrong = (name for name, kind in _NEEDED.items() if not isinstance(record.get(name, kind()), kind))
        found = next((f"a {type(record[name]).__name__} under {name!r}" for name in wrong), "")
    if found:
        raise MedsegError(f"{project.display(path)} holds {found}, which is no record of a run. {_AGAIN}")
    return record


def known(folder: Path) -> dict[str, Any]:
    """As :func:`read`, for one of many: of a record that cannot be read nothing but the status ``unreadable``."""
    try:
        return read(folder)
    except MedsegError:
        return {"status": "unreadable"}


def fault(folder: Path) -> str:
    """Why the record of a run cannot be used, empty where it can: it is damaged, or a finished one lacks entries."""
    try:
        record = read(folder)
    except MedsegError as error:
        return str(error)
    if record.get("status") != "finished":
        return ""
    lacking = [name for name in _NEEDED if name not in record]
    lacking += ["dataset.fingerprint"] if "fingerprint" not in record.get("dataset", {}) else []
    return f"{project.display(folder / NAME)} lacks {', '.join(lacking)}. {_AGAIN}" if lacking else ""
