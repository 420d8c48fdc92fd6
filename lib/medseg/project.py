"""Where the project lies: paths never depend on the working directory."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medseg.errors import MedsegError

RUNS_VARIABLE = "MEDSEG_RUNS"
REPORTS_VARIABLE = "MEDSEG_REPORTS"


def root() -> Path:
    """Folder that holds ``pyproject.toml`` and ``notebooks/``; a :class:`MedsegError` if there is none to be found.

    Taken from the place of this file (the package is installed editable), else from the working directory upward.
    """
    for start in (Path(__file__).resolve(), Path.cwd().resolve()):
        for folder in (start, *start.parents):
            if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
                return folder
    raise MedsegError(
        f"No medseg checkout found above {Path(__file__).parent} or {Path.cwd()}: expected a folder with "
        "pyproject.toml and notebooks/. Install the package from its clone with 'pip install -e .'."
    )


def resolve(path: str | Path) -> Path:
    """Absolute form of ``path``; a relative one is meant from the project root."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else root() / path


def display(path: str | Path) -> str:
    """``path`` as a person should read it: relative to the project root where it lies inside."""
    path = Path(path)
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)


def runs_folder() -> Path:
    """Folder of all runs: ``$MEDSEG_RUNS`` if set, else ``reports/runs`` of the project."""
    return resolve(os.environ.get(RUNS_VARIABLE) or "reports/runs")


def reports_folder() -> Path:
    """Folder of all reports: ``$MEDSEG_REPORTS`` if set, else beside the runs that they describe."""
    if os.environ.get(REPORTS_VARIABLE):
        return resolve(os.environ[REPORTS_VARIABLE])
    return runs_folder().parent if os.environ.get(RUNS_VARIABLE) else root() / "reports"


@contextmanager
def reporting_on(runs: Path) -> Iterator[None]:
    """Within it, also for processes that are started, the runs are those of the folder ``runs``.

    Their reports go to ``kept/NAME`` in the folder of reports, ``NAME`` being that of ``runs``: nothing is written
    beside them.
    """
    chosen = {RUNS_VARIABLE: str(runs), REPORTS_VARIABLE: str(reports_folder() / "kept" / runs.name)}
    with environment(chosen):
        yield


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within it, also for processes that are started, the environment has these ``variables``; then it is as before."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
