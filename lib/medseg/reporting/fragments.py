"""What a notebook cell shows: tables and figures that read well in JupyterLab and in the report alike.

A table is a piece of HTML with a plain-text twin; both are rounded and free of random ids, so that strict comparison of
a notebook's outputs holds. A figure is shown as an image output (which nbval does not compare) that carries its
alternative text in the output's metadata, followed by its caption (which nbval does compare). The report's template
joins the two again into one ``<figure>``.
"""

import html
from dataclasses import dataclass
from pathlib import Path

import jinja2

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


def sentence(text: str) -> Fragment:
    """A paragraph of plain text."""
    return Fragment(f"<p>{html.escape(text)}</p>", text)


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
