"""Notebooks as they are committed: what somebody ran and saved in JupyterLab is nobody's test.

As a program it copies notebooks for a test: ``python committed.py TARGET NOTEBOOK ...``.
"""

import subprocess
import sys
from pathlib import Path

import nbformat


def text(path: Path) -> str:
    """``path`` as git would commit it now; the file itself where there is no git, or git does not know it."""
    command = ["git", "show", f":./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, timeout=60)
    except FileNotFoundError:
        return path.read_text("utf-8")
    return done.stdout.decode("utf-8") if done.returncode == 0 else path.read_text("utf-8")


def tested(path: Path) -> str:
    """The committed notebook, as long as its code is that of the file; else the file, which somebody is working on."""
    return text(path) if _code(text(path)) == _code(path.read_text("utf-8")) else path.read_text("utf-8")


def _code(notebook: str) -> list[str]:
    return [cell.source for cell in nbformat.reads(notebook, 4).cells if cell.cell_type == "code"]


if __name__ == "__main__":
    target, *notebooks = map(Path, sys.argv[1:])
    for notebook in notebooks:
        copy = target / notebook.absolute().parent.name / notebook.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(tested(notebook), "utf-8")
