import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from medseg.errors import MedsegError
from medseg.reporting import html
from medseg.reporting.fragments import METADATA, Cell, Column, Row, Table

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABXvMqOgAAAABJRU5ErkJggg=="
TABLE = Table("Scores", [Column("run", numeric=False), Column("Dice")], [Row([Cell("a <b>"), Cell("0.5", 0.5)])])


@pytest.fixture
def rendered(tmp_path):
    def render(*cells, title="A report"):
        nbformat.write(v4.new_notebook(cells=list(cells)), tmp_path / "4_results.ipynb")
        html.render(tmp_path / "4_results.ipynb", tmp_path / "page.html", title=title)
        text = (tmp_path / "page.html").read_text("utf-8")
        return text, BeautifulSoup(text, "html.parser")

    return render


def code(source="", *outputs, tags=()):
    cell = v4.new_code_cell(source, outputs=list(outputs))
    cell.metadata["tags"] = list(tags)
    return cell


def shown(data, metadata=None):
    return v4.new_output("display_data", data=data, metadata=metadata or {})


def test_headings_make_the_table_of_contents_with_ids_of_their_own(rendered):
    _, soup = rendered(
        v4.new_markdown_cell("# Own title\n\nLead.\n\n## Limits\n\n### More\n\n## Limits\n\n# Late title")
    )
    assert [h.get_text() for h in soup("h1")] == ["A report"]
    links = [(a.get_text(), a["href"]) for a in soup.select("nav a")]
    assert links == [
        ("Limits", "#limits"), ("More", "#more"), ("Limits", "#limits-2"), ("Late title", "#late-title"),
    ]  # fmt: skip
    assert all(soup.find(id=href[1:]) for _, href in links)
    assert soup.select_one("p.lede").get_text() == "Lead."


def test_parameters_and_setup_are_hidden_but_what_they_show_is_not(rendered):
    text, soup = rendered(
        code("secret: int = 1  # meaning", tags=["parameters"]),
        code("secret = 2", tags=["injected-parameters"]),
        code("import secret", shown({"text/html": "<p>parameter table</p>", "text/plain": ""}), tags=["setup"]),
        code("visible = 3"),
    )
    assert "secret" not in text
    assert "parameter table" in text
    [block] = soup.select(".code")
    assert block.get_text().strip() == "visible = 3"
    assert block.has_attr("hidden")
    assert soup.select_one("button#code")


def test_noise_on_stderr_is_left_out_unless_the_cell_failed(rendered):
    noise = v4.new_output("stream", name="stderr", text="UserWarning: noise")
    failure = v4.new_output(
        "error", ename="MedsegError", evalue="no <data>", traceback=["\x1b[31mMedsegError\x1b[0m: no <data>"]
    )
    text, _ = rendered(code("x", noise))
    assert "noise" not in text
    text, soup = rendered(code("x", noise, failure))
    assert "noise" in text
    assert soup.select_one("details.error summary").get_text() == "MedsegError no <data>"
    assert soup.select_one(".error .ansi-red-fg").get_text() == "MedsegError"


def test_figures_carry_alternative_text_and_caption(rendered):
    described = {"kind": "chart", "alt": 'Curves "rise"', "caption": "Dice < 1"}
    _, soup = rendered(
        v4.new_markdown_cell("## Curves"),
        code(
            "x",
            shown({"image/png": PIXEL}, {"image/png": {"width": 480}, METADATA: described}),
            shown({"text/html": "<p>Dice &lt; 1</p>"}, {METADATA: {"kind": "caption"}}),
            shown({"image/png": PIXEL}),
            shown({"image/jpeg": PIXEL}, {METADATA: {"kind": "tile", "alt": "case", "caption": "c"}}),
        ),
    )
    first, second, third = soup("figure")
    assert first["class"] == ["chart"]
    assert (first.img["alt"], first.img["width"]) == ('Curves "rise"', "480")
    assert first.figcaption.get_text() == "Dice < 1"
    assert second.img["alt"] == "Picture in the section Curves"
    assert "tiles" in third.parent["class"]
    assert soup.get_text().count("Dice < 1") == 1


def test_tables_scroll_in_their_own_frame_and_can_be_sorted(rendered):
    frame = '<table border="1" class="dataframe"><thead><tr><th></th><th>run</th><th>x</th></tr></thead><tbody>'
    frame += "<tr><th>0</th><td>a</td><td>1.5</td></tr><tr><th>1</th><td>b</td><td>NaN</td></tr></tbody></table>"
    style = "<style scoped>.dataframe {}</style>"
    _, soup = rendered(
        v4.new_markdown_cell("## Part\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        code("x", shown({"text/html": style + frame})),
        code("x", v4.new_output("execute_result", data={"text/html": TABLE.fragment()._repr_html_()})),
    )
    tables = soup("table")
    assert [table.parent.get("aria-label") for table in tables] == ["Table in the section Part"] * 2 + ["Scores"]
    assert all(table.parent["class"] == ["scroll"] and table.parent["tabindex"] == "0" for table in tables)
    assert ["sortable" in (table.get("class") or []) for table in tables] == [False, True, True]
    assert [th.get("class") for th in tables[1].thead("th")] == [None, None, ["number"]]
    assert tables[2].tbody.th.get_text() == "a <b>"
    assert soup.main.find("style") is None


def test_nothing_is_loaded_from_anywhere(rendered):
    text, soup = rendered(
        v4.new_markdown_cell(
            'A [link](https://example.org/x). ![far](https://example.org/a.png)\n\n<img src="//example.org/b.png">'
        ),
        code(
            "x",
            shown({"text/html": '<script src="https://example.org/r.js"></script><iframe src="http://a.b"></iframe>'}),
            shown(
                {"text/html": "<style>@import 'https://example.org/c.css'; p {background: url(http://a.b/c)}</style>"}
            ),
            shown({"text/html": '<p style="background: url(https://example.org/d.png)">kept</p>'}),
            shown({"application/javascript": "require()", "text/plain": "<Javascript>"}),
            shown({"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox(children=())"}),
        ),
    )
    assert soup.select_one('a[href="https://example.org/x"]')
    assert "[not shown, it lies outside this page: https://example.org/a.png]" in soup.get_text()
    for tag in soup(["img", "script", "link", "iframe", "source", "object", "embed"]):
        assert not re.match(r"(https?:)?//", tag.get("src") or tag.get("href") or "")
    assert not re.search(r"(url\(|@import)[^;)]*//", text)
    assert "kept" in text
    assert "require" not in text
    assert "HBox" not in text
    assert len(soup("script")) == 1
    assert "default-src 'none'" in soup.select_one("meta[http-equiv]")["content"]


def test_a_picture_beside_the_notebook_is_put_into_the_page(rendered, tmp_path):
    import base64

    (tmp_path / "near.png").write_bytes(base64.b64decode(PIXEL))
    _, soup = rendered(v4.new_markdown_cell("![near](near.png)"))
    assert soup.img["src"].startswith("data:image/png;base64,")


def test_the_same_notebook_gives_the_same_page(rendered):
    cells = [v4.new_markdown_cell("## A"), code("x = 1", shown({"application/javascript": "1"}))]
    assert rendered(*cells)[0] == rendered(*cells)[0]


def test_the_title_is_escaped(rendered):
    text, _ = rendered(title="a < b & c")
    assert "<h1>a &lt; b &amp; c</h1>" in text


def test_a_report_links_home_only_from_inside_the_reports(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path / "reports" / "runs"))
    inside = html.page("", title="t", target=tmp_path / "reports" / "runs" / "polyp" / "a" / "2_train.html")
    assert 'href="../../../index.html"' in inside
    assert "index.html" not in html.page("", title="t", target=tmp_path / "elsewhere.html")


@pytest.mark.parametrize("content", [None, "not json", "{}"])
def test_what_is_no_notebook_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "x.ipynb").write_text(content)
    with pytest.raises(MedsegError, match=r"x\.ipynb cannot be read as a notebook"):
        html.render(tmp_path / "x.ipynb", tmp_path / "x.html", title="x")
    assert not (tmp_path / "x.html").exists()
