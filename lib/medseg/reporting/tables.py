"""The table of a report: columns, cells with marks and notes, rendered as HTML and as plain text."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from medseg.reporting.fragments import Fragment

_MARKS = {"": ("", ""), "best": ("", "*"), "tied": ("<i title='cannot be told apart from the best'>\u2248</i>", "~")}


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
        return ", ".join([self.text + _MARKS[self.mark][1], *self.note.splitlines()])


@dataclass(frozen=True)
class Row:
    """A row of a table; its first cell is the row's heading."""

    cells: Sequence[Cell]
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """A table in the making; :meth:`fragment` renders it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    sortable: bool = True

    def fragment(self) -> Fragment:
        """HTML and plain text of the table."""
        title = html.escape(self.title)
        body = "\n".join(self._row(row) for row in self.rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return Fragment(
            f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
            f'<table class="{"sortable" if self.sortable else "plain"}">\n'
            f"<caption>{title}</caption>\n<thead>{self._head()}</thead>\n"
            f"<tbody>\n{body}\n</tbody></table></div>" + (f'\n<div class="notes">{notes}</div>' if notes else ""),
            self._text(),
        )

    def _head(self) -> str:
        if not any(column.group for column in self.columns):
            return f"<tr>{''.join(self._heading(i) for i in range(len(self.columns)))}</tr>"
        upper, lower = [], []
        for i, column in enumerate(self.columns):
            if not column.group:
                upper.append(self._heading(i, rows=2))
                continue
            if i == 0 or self.columns[i - 1].group != column.group:
                span = sum(c.group == column.group for c in self.columns)
                upper.append(f'<th class="group" colspan="{span}" scope="colgroup">{html.escape(column.group)}</th>')
            lower.append(self._heading(i))
        return f"<tr>{''.join(upper)}</tr>\n<tr>{''.join(lower)}</tr>"

    def _heading(self, i: int, rows: int = 1) -> str:
        column = self.columns[i]
        span = f' rowspan="{rows}"' if rows > 1 else ""
        return f'<th{_numeric(column)}{span} scope="col" data-column="{i}">{html.escape(column.title)}</th>'

    def _row(self, row: Row) -> str:
        cells = []
        for i, (column, cell) in enumerate(zip(self.columns, row.cells, strict=True)):
            inner = html.escape(cell.text)
            if cell.link:
                inner = f'<a href="{html.escape(cell.link)}">{inner}</a>'
            if cell.mark == "best":
                inner = f"<b>{inner}</b>"
            inner = (
                _MARKS[cell.mark][0]
                + inner
                + "".join(f"<small>{html.escape(line)}</small>" for line in cell.note.splitlines())
            )
            sort = "" if cell.sort is None else f' data-sort="{cell.sort:.6g}"'
            tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
            cells.append(f"<{tag}{_numeric(column)}{scope}{sort}>{inner}</{tag}>")
        muted = ' class="muted"' if row.muted else ""
        return f"<tr{muted}>{''.join(cells)}</tr>"

    def _text(self) -> str:
        head = [" ".join(word for word in (column.group, column.title) if word) for column in self.columns]
        lines = [head, *([cell.plain for cell in row.cells] for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        numeric = [column.numeric for column in self.columns]
        text = [
            "  ".join(
                word.rjust(width) if right else word.ljust(width)
                for word, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *text, *self.notes])


def _numeric(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def number(value: float | None, digits: int = 3, *, mark: str = "", note: str = "") -> Cell:
    """A number; a dash where there is none."""
    if value is None or value != value:
        return Cell("\u2013", note=note)
    return Cell(f"{value:.{digits}f}", float(value), mark, note)


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, such as ``+0.012``, minus as a minus sign; a dash where there is none."""
    return "\u2013" if value != value else f"{value:+.{digits}f}".replace("-", "\u2212")
