"""The table of a report: columns, cells with marks and notes, rendered as HTML and as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass

from medseg.reporting.fragments import TEMPLATES, Fragment


@dataclass(frozen=True)
class Column:
    """A column of a table; neighbours of one ``group`` share a heading."""

    title: str
    group: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is read.
        sort: what the column is sorted by; None: by the text, and an empty text comes last.
        mark: "", ``best`` or ``tied`` (cannot be told apart from the best).
        note: smaller lines below.
        link: address that the text leads to.
    """

    text: str
    sort: float | None = None
    mark: str = ""
    note: str = ""
    link: str = ""

    @property
    def plain(self) -> str:
        """The cell in plain text."""
        return ", ".join([self.text + {"best": "*", "tied": "~"}.get(self.mark, ""), *self.note.splitlines()])


@dataclass(frozen=True)
class Row:
    """A row of a table; its first cell is the row's heading."""

    cells: Sequence[Cell]
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """A table in the making; :meth:`fragment` renders it. A column that is only a title is one of numbers, a row that
    is only its cells is not muted.
    """

    title: str
    columns: Sequence[Column | str]
    rows: Sequence[Row | Sequence[Cell]]
    notes: Sequence[str] = ()
    sortable: bool = True

    def fragment(self) -> Fragment:
        """HTML and plain text of the table."""
        columns = [Column(column) if isinstance(column, str) else column for column in self.columns]
        rows = [row if isinstance(row, Row) else Row(row) for row in self.rows]
        html = TEMPLATES.get_template("table.html.j2").render(
            title=self.title, columns=columns, rows=rows, notes=self.notes, sortable=self.sortable
        )
        lines = [
            [f"{column.group} {column.title}".strip() for column in columns],
            *([cell.plain for cell in row.cells] for row in rows),
        ]
        widths = [max(map(len, words)) for words in zip(*lines, strict=True)]
        text = [
            "  ".join(
                word.rjust(width) if column.numeric else word.ljust(width)
                for word, width, column in zip(line, widths, columns, strict=True)
            ).rstrip()
            for line in lines
        ]
        return Fragment(html, "\n".join([self.title, *text, *self.notes]))


def words(*titles: str) -> list[Column]:
    """Columns of text."""
    return [Column(title, numeric=False) for title in titles]


def number(value: float | None, digits: int = 3, *, mark: str = "", note: str = "") -> Cell:
    """A number; a dash where there is none."""
    if value is None or value != value:
        return Cell("\u2013", note=note)
    return Cell(f"{value:.{digits}f}", float(value), mark, note)


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, such as ``+0.012``, minus as a minus sign; a dash where there is none."""
    return "\u2013" if value != value else f"{value:+.{digits}f}".replace("-", "\u2212")
