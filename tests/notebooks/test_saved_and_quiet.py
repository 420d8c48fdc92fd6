"""What JupyterLab saves breaks no test, and a red block in a notebook does."""

import os
import re
import subprocess
import sys

import committed
import nbformat
import pytest

from medseg import project

SUPPORT = project.root() / "tests" / "support"


@pytest.fixture
def saved(tmp_path, write_notebook):
    """A notebook that was committed clean, then run and saved; a function that runs git in its folder."""
    path = write_notebook(tmp_path / "toy" / "1_toy.ipynb", "value: int = 1", "print(value)")
    path.write_text(path.read_text("utf-8"), "utf-8")

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=path.parent, check=True, capture_output=True, timeout=60)

    git("init", "-q")
    git("add", path.name)
    notebook = nbformat.read(path, 4)
    notebook.cells[1].execution_count = 3
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="'/home/somebody'")]
    nbformat.write(notebook, path)
    return path, git


def test_a_notebook_is_looked_at_as_committed(saved):
    path, git = saved
    assert "somebody" in path.read_text("utf-8")
    assert "somebody" not in committed.text(path) + committed.tested(path)
    git("add", path.name)
    assert "somebody" in committed.text(path)


def test_code_that_somebody_works_on_is_tested_as_it_stands(saved):
    path, _ = saved
    path.write_text(path.read_text("utf-8").replace("print(value)", "print(2 * value)"), "utf-8")
    assert committed.tested(path) == path.read_text("utf-8")


def test_outside_a_checkout_the_file_counts(tmp_path, write_notebook):
    path = write_notebook(tmp_path / "toy.ipynb", "value: int = 1")
    assert committed.text(path) == committed.tested(path) == path.read_text("utf-8")


def test_copies_lie_by_study(saved, tmp_path):
    path, _ = saved
    command = [sys.executable, SUPPORT / "committed.py", tmp_path / "copies", path]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "copies" / "toy" / "1_toy.ipynb").read_text("utf-8") == committed.text(path)


def test_a_cell_that_writes_to_stderr_fails(tmp_path, write_notebook):
    path = write_notebook(
        tmp_path / "toy.ipynb",
        None,
        "print('fine')",
        "import sys; print('LeafSpec is deprecated', file=sys.stderr)",
        "import warnings; warnings.warn('look out')",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "quiet_notebooks", "-p", "no:cacheprovider", "--nbval-lax", str(path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=180, env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )  # fmt: skip
    assert re.search("2 failed, 1 passed", done.stdout), done.stdout + done.stderr
    assert done.stdout.count("The cell wrote to stderr") >= 2
    assert "LeafSpec is deprecated" in done.stdout
