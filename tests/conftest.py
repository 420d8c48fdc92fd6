"""Fixtures for all tests."""

from pathlib import Path

import nbformat
import pytest
from nbformat import v4


@pytest.fixture
def write_notebook():
    """A function that writes a notebook: parameters cell (None for none), then code cells."""

    def write(path: Path, parameters: str | None, *cells: str) -> Path:
        notebook = v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        if parameters is not None:
            notebook.cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        notebook.cells += [v4.new_code_cell(cell) for cell in cells]
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write
