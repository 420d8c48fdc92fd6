"""The table of what is predicted: a row for each picture and class, added as the pictures are done."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg import atomic


class PredictionTable:
    """Rows of ``columns``, of which every picture has ``rows_each``; a picture cut off by a kill counts as not there.

    Attributes:
        done: names of the pictures whose rows are complete.
    """

    def __init__(self, file: Path, columns: Sequence[str], rows_each: int) -> None:
        self._file, self._columns = file, tuple(columns)
        rows: list[dict[str, Any]] = []
        if file.is_file():
            # A line without an end was cut off, however many fields it has.
            lines = [line for line in file.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
            rows = [row for row in csv.DictReader(lines) if None not in row and None not in row.values()]
        count = Counter(row["picture"] for row in rows)
        self.done = {name for name, number in count.items() if number == rows_each}
        self._kept = [row for row in rows if row["picture"] in self.done]

    def begin(self) -> None:
        """Write the header and the rows that are complete."""
        atomic.write_text(self._file, text(self._kept, self._columns))
        self._kept = []

    def add(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of a picture."""
        with atomic.explained(self._file), self._file.open("a", encoding="utf-8", newline="") as file:
            file.write(text(rows, self._columns, header=False))
        self.done.add(name)


def text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, header: bool = True) -> str:
    """Rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
