"""The tables of a report also as CSV and LaTeX, its figures also as SVG and PDF: files for a paper, on request.

They are written while a notebook shows them, into the folder that the environment variable :data:`VARIABLE` names, in
the order in which they are shown: ``01-mean-over-the-test-cases.csv``. Without it nothing is written.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from medseg import atomic, project

VARIABLE = "MEDSEG_EXPORT"
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"},
    **{">": r"\textgreater{}", "\u2013": "--", "\u2212": "$-$", "\u00b1": r"$\pm$", "\u2248": r"$\approx$"},
    **{"\u2265": r"$\geq$", "\u00d7": r"$\times$", "\u00b7": r"$\cdot$", "\u2026": r"\dots{}"},
}


@contextmanager
def into(folder: Path) -> Iterator[None]:
    """Within it, also for processes that are started, tables and figures are written into ``folder``, which is emptied
    of those before.
    """
    for suffix in (".csv", ".tex", ".svg", ".pdf"):
        for path in folder.glob(f"[0-9][0-9]-*{suffix}"):
            path.unlink()
    with project.environment({VARIABLE: str(folder)}):
        yield


def table(title: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[tuple[str, str, bool]]]) -> None:
    """Write a table, where that was asked for.

    Args:
        title: of the table.
        heads: of each column its group (may be empty) and title.
        rows: of each cell its text, the lines below it, and whether it is set in bold.
    """
    if not (stem := _stem(title)):
        return
    names = [f"{group} {name}".strip() for group, name in heads]
    noted = [any(row[place][1] for row in rows) for place in range(len(heads))]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        [
            part
            for name, more in zip(names, noted, strict=True)
            for part in ([name, f"{name}: below"] if more else [name])
        ]
    )
    for row in rows:
        cells = zip(row, noted, strict=True)
        writer.writerow(
            [part for (text, note, _), more in cells for part in ([text, note.replace("\n", "; ")] if more else [text])]
        )
    atomic.write_text(stem.with_suffix(".csv"), buffer.getvalue())
    lines = [
        f"% {title}; needs the package booktabs",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        " & ".join(map(latex, names)) + r" \\",
        r"\midrule",
        *(" & ".join(_cell(*cell) for cell in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    atomic.write_text(stem.with_suffix(".tex"), "\n".join(lines) + "\n")


def figure(canvas: Canvas, caption: str) -> None:
    """Write a drawn figure, where that was asked for; the same figure gives the same bytes."""
    if not (stem := _stem(" ".join(caption.split()[:8]))):
        return
    for suffix, metadata in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": "medseg", "svg.fonttype": "none", "pdf.fonttype": 42}):
            canvas.savefig(buffer, format=suffix[1:], metadata=metadata)
        atomic.write_bytes(stem.with_suffix(suffix), buffer.getvalue())


def latex(text: str) -> str:
    """A text with everything that means something to LaTeX told as itself."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _cell(text: str, note: str, bold: bool) -> str:
    told = rf"\textbf{{{latex(text)}}}" if bold else latex(text)
    below = latex(note.replace("\n", "; "))
    return rf"{told} {{\footnotesize {below}}}" if below else told


def _stem(title: str) -> Path | None:
    """Path of the next file, without suffix; None where nothing is to be written."""
    if not (folder := os.environ.get(VARIABLE)):
        return None
    numbers = [int(path.name[:2]) for path in Path(folder).glob("[0-9][0-9]-*")]
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-")
    return Path(folder) / f"{max(numbers, default=0) + 1:02d}-{slug}"
