"""The command line: help, messages without tracebacks, the plan of a sweep."""

import sys

import pytest
from typer.testing import CliRunner

from medseg import project
from medseg.cli import app, main

COMMANDS = ("sample", "prepare", "sweep", "report", "runs", "demo")


@pytest.fixture
def medseg(tmp_path, monkeypatch, capsys):
    """Run the command as the console script does; returns exit code, output and errors."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["medseg", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert f"Example: medseg {command}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sweep", "nothing.yaml"), "Error: No sweep file"),
        (("sample", "teeth"), "Error: There is no sample data for 'teeth'. There is for: polyp."),
        (("report", "polyp"), "Error: No finished run of polyp to report on."),
        (("report", "polyp", "--sweep", "x"), "Error: No sweep 'x' was started here. Started: none."),
    ],
)
def test_a_fault_is_one_message(medseg, arguments, expected):
    code, out, errors = medseg(*arguments)
    assert code == 1
    assert errors.startswith(expected)
    assert "Traceback" not in errors + out


def test_a_refused_preparation_says_why_and_leaves_nothing(medseg, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, errors = medseg("prepare", "polyp", "--source", str(tmp_path / "empty"), "--out", str(tmp_path / "out"))
    assert code == 1
    assert errors.startswith("Error: ")
    assert str(tmp_path / "empty") in errors
    assert "Traceback" not in errors + out
    assert not (tmp_path / "out").exists()


def test_no_runs_yet(medseg):
    code, out, errors = medseg("runs")
    assert (code, errors) == (0, "")
    assert "no runs yet" in out
