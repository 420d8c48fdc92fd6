"""Published figures: read from a CSV, and matched with our configurations and test sets."""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from medseg import project
from medseg.errors import MedsegError
from medseg.reporting.comparison import Configuration

#: Columns of a table of published means; further ones are parameters of a run, such as ``resolution``.
COLUMNS = ("model", "backbone", "test_set", "metric", "value", "epochs", "source")


def read(path: str | Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """Published figures as text, but for ``value`` and, where it is a column, ``epochs``, which are numbers.

    Raises:
        MedsegError: the file cannot be read, or lacks a column.
    """
    path, columns = project.resolve(path), list(columns)
    try:
        figures = pd.read_csv(path, keep_default_na=False, dtype=str)
        missing = [column for column in columns if column not in figures.columns]
        if missing:
            raise ValueError(f"the column(s) {', '.join(missing)} are missing")
        numbers = [column for column in ("value", "epochs") if column in columns]
        return figures.assign(**{column: pd.to_numeric(figures[column]) for column in numbers})
    except (OSError, ValueError) as error:
        raise MedsegError(
            f"{project.display(path)} cannot be read as a table of published figures: {error}. Expected a CSV with the "
            f"columns {', '.join(columns)}."
        ) from error


def of_protocol(figures: pd.DataFrame, protocol: str | None) -> pd.DataFrame:
    """``figures`` of networks that were trained and tested on the same split of the same data, by their column
    ``protocol``, which goes; a row that names none, or all where there is no such column, counts for any.
    """
    if "protocol" not in figures.columns:
        return figures
    same = figures["protocol"].isin(["", protocol or ""])
    return figures[same].drop(columns="protocol").reset_index(drop=True)


def of_configuration(configuration: Configuration, figures: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``figures`` of the same architecture, backbone and further parameters."""
    parameters = configuration.records[0].get("parameters", {})
    keys = {"model": "architecture", "backbone": "backbone"}
    keys |= {column: column for column in figures.columns if column not in COLUMNS}
    same = [
        all(
            _normal(row[column]) == _normal(parameters.get(key))
            for column, key in keys.items()
            if row[column] or column in COLUMNS
        )
        for row in figures.to_dict("records")
    ]
    return figures[pd.Series(same, index=figures.index, dtype=bool)]


def in_our_test_sets(figures: pd.DataFrame, ours: list[str]) -> pd.DataFrame:
    """``figures`` with our names of the test sets, and for each of ours a row where a figure names none."""
    named = [[_our_test_set(name, ours)] if name else ours for name in figures["test_set"]]
    return figures.assign(test_set=named).explode("test_set", ignore_index=True)


def values(figures: pd.DataFrame, test_set: str, metric: str) -> list[float]:
    """The published values: none, one, or several where several tables have the same network."""
    same = (figures["test_set"] == test_set) & (figures["metric"] == metric)
    return figures.loc[same, "value"].drop_duplicates().tolist()


def _our_test_set(published: str, ours: list[str]) -> str:
    """Our name of a published test set: ``CVC-ClinicDB`` is our ``clinicdb``."""
    wanted = _normal(published)
    return next((name for name in ours if _normal(name) in wanted or wanted in _normal(name)), published)


def _normal(name: object) -> str:
    text = re.sub(r"[^a-z0-9]", "", str(name or "").lower())
    return "" if text == "none" else text
