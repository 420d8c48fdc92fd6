"""Tables and figures as files for a paper, on request alone."""

import csv

import pytest

from medseg.reporting import exported, style
from medseg.reporting.fragments import Cell, Table, numeric, words


@pytest.fixture
def table():
    cells = [Cell("a_b & 50 %", note="one\ntwo"), Cell("0.5", 0.5, "best"), Cell("\u22120.1")]
    return Table("Means of <all>", words("Run") + numeric("Dice", "More"), [cells])


def test_tables_are_written_as_csv_and_latex_in_their_order(tmp_path, table):
    with exported.into(tmp_path):
        table.fragment()
        table.fragment()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01-means-of-all.csv", "01-means-of-all.tex", "02-means-of-all.csv", "02-means-of-all.tex",
    ]  # fmt: skip
    with (tmp_path / "01-means-of-all.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["Run", "Run: below", "Dice", "More"],
            ["a_b & 50 %", "one; two", "0.5", "\u22120.1"],
        ]
    latex = (tmp_path / "01-means-of-all.tex").read_text()
    assert r"a\_b \& 50 \% {\footnotesize one; two} & \textbf{0.5} & $-$0.1 \\" in latex
    assert latex.index("\\toprule") < latex.index("\\midrule") < latex.index("\\bottomrule")


def test_charts_are_written_as_svg_and_pdf_photos_are_not(tmp_path):
    for round_ in ("one", "two"):
        with exported.into(tmp_path / round_):
            for kind in ("chart", "photo"):
                with style.canvas(100) as figure:
                    figure.subplots().plot([0, 1])
                    style.finish(figure, "A line. More words.", "a line", kind)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["01-a-line-more-words.pdf", "01-a-line-more-words.svg"]
    for name in names:
        data = [(tmp_path / round_ / name).read_bytes() for round_ in ("one", "two")]
        assert data[0] == data[1]
    assert (tmp_path / "one" / names[0]).read_bytes().startswith(b"%PDF")


def test_files_of_before_go_and_nothing_is_written_unasked(tmp_path, table, monkeypatch):
    monkeypatch.delenv(exported.VARIABLE, raising=False)
    (tmp_path / "07-old.csv").touch()
    (tmp_path / "means.csv").touch()
    with exported.into(tmp_path):
        pass
    table.fragment()
    assert [path.name for path in tmp_path.iterdir()] == ["means.csv"]
