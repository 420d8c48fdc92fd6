from pathlib import Path
from types import SimpleNamespace

import pytest

from medseg.datasets.folders import CaseNames, check_source, entries, natural_key, only_once, relative
from medseg.errors import MedsegError


def test_order_is_natural_and_litter_is_not_seen(tmp_path):
    assert sorted(["10", "2", "a2", "a10", "1", "²"], key=natural_key) == ["1", "2", "10", "a2", "a10", "²"]
    for name in ("10.png", "9.png", ".hidden", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [entry.name for entry in entries(tmp_path)] == ["9.png", "10.png"]
    with pytest.raises(MedsegError, match="cannot be listed"):
        entries(tmp_path / "none")


def test_files_of_one_name_are_all_left_out():
    problems = []
    found = {
        "a": [Path("x/P1/a.png")],
        "b": [Path("x/P1/b.png"), Path("x/P1/b.PNG")],
        "c": [Path("x/P1/c.png"), Path("x/train/P1/c.png")],
    }
    assert only_once(found, problems) == {"a": Path("x/P1/a.png")}
    assert [reason for _, reason in problems] == [
        *["b.png and b.PNG have the same name; keep the right one"] * 2,
        *["P1/c.png and train/P1/c.png have the same name; keep the right one"] * 2,
    ]


def test_a_name_stands_for_a_case_where_one_alone_has_it():
    cases = [("P1", "a"), ("P1", "b.x_R"), ("P2", "a")]
    names = CaseNames(SimpleNamespace(patient=p, name=n, case_id=f"{p}-{n}") for p, n in cases)
    assert names.find("P1/a") == names.find("DICOM\\P1\\ENDO\\a.DCM") == names.find(" train/P1/a.json ") == ["P1-a"]
    assert names.find("b.x_R") == names.find("b.x_R.png") == ["P1-b.x_R"]
    assert names.find("a") == ["P1-a", "P2-a"]
    assert names.find("P3/a") == names.find("c") == []


def test_a_source_must_be_there_and_apart_from_the_output(tmp_path):
    check_source(tmp_path, tmp_path.parent / "out", "x")
    with pytest.raises(MedsegError, match="none does not exist. Expected a tree. data/README.md"):
        check_source(tmp_path / "none", tmp_path / "out", "a tree")
    for out in (tmp_path, tmp_path / "out", tmp_path.parent):
        with pytest.raises(MedsegError, match="lie in one another"):
            check_source(tmp_path, out, "a tree")


def test_paths_in_tables_are_relative_and_can_always_be_written(tmp_path):
    assert relative(tmp_path / "a" / "b", tmp_path) == "a/b"
    assert relative(Path("/elsewhere/b"), tmp_path) == "b"
    assert relative(tmp_path / "\udcb0", tmp_path) == "\\udcb0"


def test_names_that_differ_in_case_alone_are_refused_with_both_names():
    upper, lower, other = Path("d/A.png"), Path("d/a.png"), Path("d/b.png")
    problems = []
    assert only_once({"A": [upper], "a": [lower], "b": [other]}, problems) == {"b": other}
    assert [path for path, _ in problems] == [upper, lower]
    assert all("A.png and a.png have the same name, but for upper and lower case" in reason for _, reason in problems)
    problems.clear()
    patients = {("P1", "a"): [Path("P1/a.png")], ("p1", "a"): [Path("p1/a.png")], ("P2", "A"): [Path("P2/A.png")]}
    assert only_once(patients, problems) == {("P2", "A"): Path("P2/A.png")}
    assert problems[0][1].startswith("P1/a.png and p1/a.png have the same name")
