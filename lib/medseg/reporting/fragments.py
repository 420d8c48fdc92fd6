"""What a notebook cell shows: tables and figures that read well in JupyterLab and in the report alike.

A table is a piece of HTML with a plain-text twin; both are rounded and free of random ids, so that strict comparison of
a notebook's outputs holds. A figure is shown as an image output (which nbval does not compare) that carries its
alternative text in the output's metadata, followed by its caption (which nbval does compare). The report's template
joins the two again into one ``<figure>``.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from medseg.reporting import exported

#: Key of this package in the metadata of an output.
METADATA = "medseg"

_TEMPLATE = Path(__file__).parent / "template"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATE), autoescape=True, trim_blocks=True, lstrip_blocks=True
)

#: For JupyterLab alone: the report has a style sheet of its own and drops this one.
_LAB_STYLE = f"<style>\n{(_TEMPLATE / 'lab.css').read_text('utf-8')}</style>"


@dataclass(frozen=True)
class Fragment:
    """A piece of a report: HTML, and the same in plain text."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return f'<div class="medseg">{_LAB_STYLE}{self.html}</div>'

    def __repr__(self) -> str:
        return self.text


def capital(title: str) -> str:
    """A title at the start of a line: ``Surface Dice``, but ``mDice``."""
    return title if title[1:2].isupper() else title[:1].upper() + title[1:]


def sentence(text: str) -> Fragment:
    """A paragraph of plain text."""
    return Fragment(f"<p>{html.escape(text)}</p>", text)


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
        mark: "", ``best``, ``equivalent`` (to the best) or ``unsettled`` (whether it differs from the best).
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
        mark = {"best": "*", "equivalent": "\u2248", "unsettled": "?"}.get(self.mark, "")
        return ", ".join([self.text + mark, *self.note.splitlines()])


@dataclass(frozen=True)
class Row:
    """A row of a table; its first cell is the row's heading."""

    cells: Sequence[Cell]
    muted: bool = False
    folded: bool = False  # shown on demand, below the others


@dataclass(frozen=True)
class Table:
    """A table in the making; :meth:`fragment` renders it. A row that is only its cells is not muted."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row | Sequence[Cell]]
    notes: Sequence[str] = ()
    sortable: bool = True

    def fragment(self) -> Fragment:
        """HTML and plain text of the table."""
        rows = [row if isinstance(row, Row) else Row(row) for row in self.rows]
        folded = [row for row in rows if row.folded]
        rows = [row for row in rows if not row.folded] + folded
        exported.table(
            self.title,
            [(column.group, column.title) for column in self.columns],
            [[(cell.text, cell.note, cell.mark == "best") for cell in row.cells] for row in rows],
        )
        rendered = TEMPLATES.get_template("table.html.j2").render(
            title=self.title,
            columns=self.columns,
            rows=rows[: len(rows) - len(folded)],
            folded=folded,
            notes=self.notes,
            sortable=self.sortable,
        )
        lines = [
            [f"{column.group} {column.title}".strip() for column in self.columns],
            *([cell.plain for cell in row.cells] for row in rows),
        ]
        widths = [max(map(len, words)) for words in zip(*lines, strict=True)]
        text = [
            "  ".join(
                word.rjust(width) if column.numeric else word.ljust(width)
                for word, width, column in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in lines
        ]
        return Fragment(rendered, "\n".join([self.title, *text, *self.notes]))


def words(*titles: str) -> list[Column]:
    """Columns of text."""
    return [Column(title, numeric=False) for title in titles]


def numeric(*titles: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(title) for title in titles]


def number(value: float | None, digits: int = 3, *, mark: str = "", note: str = "") -> Cell:
    """A number; a dash where there is none."""
    if value is None or value != value:
        return Cell("\u2013", note=note)
    return Cell(f"{value:.{digits}f}", float(value), mark, note)


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, such as ``+0.012``, minus as a minus sign, none for 0; a dash where there is none."""
    if value != value:
        return "\u2013"
    text = f"{value:+.{digits}f}".replace("-", "\u2212")
    return text if text.strip("+\u22120.") else text[1:]


@dataclass(frozen=True)
class Figure:
    """A picture with its caption and alternative text, shown where it is the value of a cell.

    Attributes:
        data: the encoded picture, twice as many pixels as it is wide on the page.
        mimetype: ``image/png`` or ``image/jpeg``.
        width: width on the page in CSS pixels.
        caption: one or two sentences below the picture.
        alt: what a person who cannot see the picture should know.
        kind: ``chart`` (the dark report inverts its lightness), ``photo`` (never changed) or ``tile`` (a photo that
            stands in a grid with the other tiles of its cell).
    """

    data: bytes
    mimetype: str
    width: int
    caption: str
    alt: str
    kind: str = "chart"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        described = {"kind": self.kind, "alt": self.alt, "caption": self.caption}
        display(
            {self.mimetype: self.data, "text/plain": f"[{self.alt}]"},
            raw=True,
            metadata={self.mimetype: {"width": self.width}, METADATA: described},
        )
        display(
            {"text/html": f"<p><em>{html.escape(self.caption)}</em></p>", "text/plain": self.caption},
            raw=True,
            metadata={METADATA: {"kind": "caption"}},
        )


@dataclass(frozen=True)
class Parts:
    """Fragments and figures, shown one after the other."""

    parts: tuple[Fragment | Figure, ...]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for part in self.parts:
            display(part)
