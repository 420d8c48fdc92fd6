"""From an executed notebook to one HTML file that needs no network: nbconvert with our own template.

nbconvert renders the cells (``template/index.html.j2``); here the result is tidied, its headings are collected, and
``template/page.html.j2`` puts the page around it, which the index of all reports uses as well.
"""

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.experiments import without_grammar  # noqa: F401 - first

# isort: split
import nbformat
from bs4 import BeautifulSoup, Tag
from bs4.element import AttributeValueList
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from traitlets.config import Config

from medseg import atomic, project
from medseg.errors import MedsegError
from medseg.reporting.fragments import TEMPLATES

_TEMPLATE = Path(__file__).parent / "template"
#: Outputs that need a running kernel or script; a page is a document.
_ALIVE = {"application/vnd.jupyter.widget-view+json", "application/javascript"}
#: What is shown of an output, the first that it has.
_SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]
#: What a document would load by itself; a link that a reader follows is none of it.
_LOADING = ("src", "srcset", "data", "poster", "background", "xlink:href")
_REMOTE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
_REMOTE_CSS = re.compile(r"(@import[^;]*;?|url\(\s*['\"]?\s*(https?:)?//[^)]*\))", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents; ``level`` is 2 or 3."""

    level: int
    id: str
    text: str


def render(notebook: Path, target: Path, *, title: str) -> None:
    """Write an executed notebook as one self-contained HTML page; the same notebook gives the same bytes.

    Cells tagged ``parameters``, ``injected-parameters`` or ``setup`` show their outputs only; other code is behind a
    button. What libraries print on stderr is left out unless the cell failed. A level-1 heading at the top gives way
    to ``title``. Scripts and anything that would be loaded from a network are taken out.

    Raises:
        MedsegError: the notebook is missing or is none, or ``target`` cannot be written.
    """
    cells = read(notebook)
    for cell in cells.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _ALIVE & set(output.get("data", ()))]
    body, _ = _exporter().from_notebook_node(cells, {"metadata": {"path": str(notebook.parent)}})
    soup = BeautifulSoup(body, "html.parser")
    _make_offline(soup)
    _tidy(soup, title)
    contents = _contents(soup)
    atomic.write_text(target, page(str(soup), title=title, target=target, source=notebook.name, contents=contents))


def read(notebook: Path) -> nbformat.NotebookNode:
    """The notebook; a :class:`MedsegError` where it is missing or is none."""
    try:
        return nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError, LookupError, TypeError, AttributeError) as error:
        raise MedsegError(f"{project.display(notebook)} cannot be read as a notebook: {error}.") from error


def page(body: str, *, title: str, target: Path, source: str = "", contents: Sequence[Entry] = ()) -> str:
    """The HTML of a whole page around ``body``, as it should lie at ``target``."""
    home = project.reports_folder() / "index.html"
    inside = target.is_relative_to(home.parent) and target != home
    return TEMPLATES.get_template("page.html.j2").render(
        title=title,
        body=Markup(body),
        contents=contents if len(contents) > 1 else (),
        source=source,
        has_code='class="code"' in body,
        home=Path(os.path.relpath(home, target.parent)).as_posix() if inside else "",
        css=Markup((_TEMPLATE / "page.css").read_text("utf-8")),
        js=Markup((_TEMPLATE / "page.js").read_text("utf-8")),
    )


def _exporter() -> HTMLExporter:
    settings = Config()
    settings.NbConvertBase.display_data_priority = _SHOWN
    quiet = logging.getLogger(__name__)  # a missing alternative text is added below
    quiet.setLevel(logging.ERROR)
    return HTMLExporter(
        log=quiet,
        config=settings,
        template_name=_TEMPLATE.name,
        extra_template_basedirs=[str(_TEMPLATE.parent)],
        exclude_anchor_links=True,
        embed_images=True,
    )


def _make_offline(soup: BeautifulSoup) -> None:
    """Take out scripts, foreign frames and everything that a browser would fetch."""
    for tag in soup(["script", "iframe", "object", "embed", "link", "base", "meta"]):
        tag.decompose()
    for tag in soup(True):
        remote = [name for name in _LOADING if _REMOTE.match(str(tag.get(name, "")))]
        if remote:
            tag.replace_with(f"[not shown, it lies outside this page: {tag[remote[0]]}]")
        elif "url(" in (css := str(tag.get("style", ""))):
            tag["style"] = _REMOTE_CSS.sub("", css)
    for style in soup("style"):
        # The style sheets of our own fragments and of pandas are for JupyterLab.
        if style.has_attr("scoped") or style.find_parent(class_="medseg"):
            style.decompose()
        else:
            style.string = _REMOTE_CSS.sub("", style.get_text())


def _tidy(soup: BeautifulSoup, title: str) -> None:
    first = soup.find(["h1", "h2", "h3"])
    if first and first.name == "h1":
        following = first.find_next_sibling()
        if following and following.name == "p":
            following["class"] = "lede"
        first.decompose()
    for heading in soup("h1"):  # the page has one already
        heading.name = "h2"
    section = title
    for tag in soup(["h2", "h3", "img", "table"]):
        if tag.name in ("h2", "h3"):
            section = tag.get_text(" ", strip=True)
        elif tag.name == "img":
            tag["alt"] = tag.get("alt") or f"Picture in the section {section}"
        else:
            _tidy_table(soup, tag, section)


def _tidy_table(soup: BeautifulSoup, table: Tag, section: str) -> None:
    for name in ("border", "style"):
        del table[name]
    heads = table.thead.find_all("tr") if table.thead else []
    rows = table.tbody.find_all("tr") if table.tbody else []
    if "dataframe" in (classes := table.get_attribute_list("class")):
        for row in (*heads, *rows):
            del row["style"]
        if len(heads) == 1 and len(rows) > 1:
            table["class"] = AttributeValueList([*classes, "sortable"])
            for i, heading in enumerate(heads[0].find_all("th")):
                heading["data-column"] = str(i)
        _align_numbers(heads, rows)
    frame = table.find_parent(class_="scroll") or table.wrap(soup.new_tag("div"))
    caption = table.caption.get_text(strip=True) if table.caption else f"Table in the section {section}"
    frame.attrs = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}


def _align_numbers(heads: list[Tag], rows: list[Tag]) -> None:
    """Columns that hold nothing but numbers are set flush right."""
    cells = [row.find_all(["th", "td"]) for row in rows]
    if len(heads) != 1 or not cells or len({len(row) for row in cells}) != 1:
        return
    for column in zip(heads[0].find_all("th"), *cells, strict=True):
        texts = [cell.get_text(strip=True) for cell in column[1:] if cell.name == "td"]
        if texts and all(re.fullmatch(r"[-+]?[\d.,]+(e[-+]?\d+)?%?|NaN|", text) for text in texts):
            for cell in column:
                cell["class"] = "number"


def _contents(soup: BeautifulSoup) -> list[Entry]:
    """Give every heading an id of its own and list them."""
    entries: list[Entry] = []
    for heading in soup(["h2", "h3"]):
        text = heading.get_text(" ", strip=True)
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
        same = sum(
            entry.id == slug or re.fullmatch(re.escape(slug) + r"-\d+", entry.id) is not None for entry in entries
        )
        heading["id"] = f"{slug}-{same + 1}" if same else slug
        entries.append(Entry(int(heading.name[1]), str(heading["id"]), text))
    return entries
