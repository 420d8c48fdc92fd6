import json

import pytest
from bs4 import BeautifulSoup
from synthetic_runs import bare_run

from medseg.reporting import pages


@pytest.fixture
def reports(tmp_path, monkeypatch):
    folder = tmp_path / "reports"
    monkeypatch.setenv("MEDSEG_RUNS", str(folder / "runs"))
    return folder


def index(reports):
    return BeautifulSoup(pages.write_index().read_text("utf-8"), "html.parser")


def test_an_empty_project_says_how_to_begin(reports):
    soup = index(reports)
    assert "make demo" in soup.get_text()
    assert soup("table") == []


def test_runs_are_listed_with_scores_and_notebooks(reports):
    run = bare_run(reports / "runs/polyp/unet-1", {"ETIS": [0.5, 0.7]}, architecture="Unet", backbone="resnet18")
    bare_run(reports / "runs/polyp/unet-2", {"ClinicDB": [0.8]}, architecture="Unet")
    (run.folder / "2_train_torch.html").write_text("x")
    soup = index(reports)
    head = [th.get_text() for th in soup.thead.select("th.group")]
    assert head == ["ETIS", "ClinicDB"]
    first, second = ([cell.get_text(" ") for cell in row(["th", "td"])] for row in soup.tbody("tr"))
    assert first[0] == "Unet resnet18 unet-1"
    assert first[1:] == ["evaluated", "polyp abababab", "0.600", "\u2013", "open", ""]
    assert second[3:5] == ["\u2013", "0.800"]
    assert soup.tbody.a["href"] == "runs/polyp/unet-1/2_train_torch.html"
    assert "2 runs, 2 of them trained and evaluated." in soup.get_text()


def test_failed_and_unreadable_runs_are_shown_as_such(reports):
    failed = bare_run(reports / "runs/polyp/a", {"ETIS": [0.5]})
    failed.update(status="failed", error="log\nno memory")
    broken = bare_run(reports / "runs/polyp/b", {"ETIS": [0.5]})
    (broken.folder / "run.json").write_text("{")
    torn = bare_run(reports / "runs/polyp/c", {"ETIS": [0.5]})
    (torn.folder / "cases.csv").write_text("")
    rows = [row.get_text(" ") for row in index(reports).tbody("tr")]
    assert "failed no memory" in rows[0]
    assert "unreadable" in rows[1]
    assert "evaluated" in rows[2]


def test_reports_and_sweeps_are_linked(reports):
    bare_run(reports / "runs/polyp/a", {"ETIS": [0.5]})
    (reports / "sweeps").mkdir()
    (reports / "prepared/polyp").mkdir(parents=True)
    for name, title in (
        ("polyp", "Polyps &amp; co"),
        ("polyp-parts", "Parts"),
        ("prepared/polyp/colondb", "Preparation"),
        ("notes", "N"),
    ):
        (reports / f"{name}.html").write_text(f"<html><title>{title}</title>")
    sweep = {
        "study": "polyp",
        "name": "polyp-parts",
        "profile": "sample",
        "title": "Which parts help",
        "file": "parts.yaml",
    }
    record = {**sweep, "run_ids": ["a", "not-yet"], "report": "polyp-parts.html"}
    (reports / "sweeps/polyp-parts.json").write_text(json.dumps(record))
    (reports / "sweeps/torn.json").write_text("{")
    soup = index(reports)
    links = {a.get_text(): a["href"] for a in soup.main("a")}
    assert links == {
        "Polyps & co": "polyp.html",
        "Which parts help": "polyp-parts.html",
        "Parts": "polyp-parts.html",
        "Preparation": "prepared/polyp/colondb.html",
        "N": "notes.html",
    }
    assert [cell.get_text() for cell in soup.tbody.tr("td")] == ["polyp", "sample", "parts.yaml", "1 of 2"]
    assert "torn.json" in soup.tbody.get_text()
    for link in soup.select("nav a"):
        assert soup.find(id=link["href"][1:])


def test_a_sweep_without_a_report_yet_is_no_dead_link(reports):
    (reports / "sweeps").mkdir(parents=True)
    record = {"title": "Parts", "run_ids": [], "report": "polyp-parts.html"}
    (reports / "sweeps/polyp-parts.json").write_text(json.dumps(record))
    assert index(reports).tbody("a") == []


def test_a_run_that_lost_rows_has_no_score_and_says_why(reports):
    run = bare_run(reports / "runs/polyp/a", {"ETIS": [0.25, 0.75]})
    run.update(tables=run.checksums("cases.csv"))
    assert "0.500" in index(reports).tbody("tr")[0].get_text(" ")
    run.write_table("cases.csv", run.cases().iloc[1:])
    row = index(reports).tbody("tr")[0].get_text(" ")
    assert "evaluated, refused The run a is not used: cases.csv has 1 rows" in row
    assert "0.750" not in row
