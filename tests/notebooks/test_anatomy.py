"""Every notebook is checked without a kernel: its anatomy, its names, that it is committed clean."""

import ast
import io
import re
import subprocess
import sys
from pathlib import Path

import committed
import nbformat
import pytest
from pyflakes import api, reporter

from medseg import project
from medseg.experiments import params

NOTEBOOKS = sorted((project.root() / "notebooks").glob("*/*.ipynb"))
FRAMEWORKS = {
    "torch": "torch", "lightning": "torch", "torchvision": "torch", "segmentation_models_pytorch": "torch",
    "tensorflow": "tensorflow", "keras": "tensorflow", "tf_keras": "tensorflow", "segmentation_models": "tensorflow",
    "medseg.pytorch": "torch", "medseg.keras": "tensorflow", "medseg.keras_legacy": "tensorflow",
    "medseg.tf_shared": "tensorflow",
}  # fmt: skip

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def _code(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def _imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_it_reads_in_the_agreed_order(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    title, parameters, imports, setup = notebook.cells[:4]
    assert title.cell_type == "markdown"
    assert title.source.startswith("# ")
    for word in ("**Question.**", "Reads ", "rites ", "Time: "):
        assert word in title.source, f"the first cell does not say {word!r}"
    assert parameters.metadata.tags == ["parameters"]
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(imports.source).body)
    assert setup.cell_type == "code"
    assert "params.of_notebook(" in setup.source
    *_, checks, last = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert checks.count("assert ") >= 2
    assert "print(" in last
    for cell in _code(path)[1:]:  # the parameters are a list, not code to follow
        assert len(cell.splitlines()) <= 30, f"a cell is too long for a screen:\n{cell[:200]}"
        assert not re.search(r"^class ", cell, re.M)


def test_names_are_right(path):
    text = io.StringIO()
    api.check("\n".join(_code(path)), path.name, reporter.Reporter(text, text))
    assert text.getvalue() == ""


def test_imports_stand_together_and_belong_to_one_framework(path):
    parameters, imports, *rest = _code(path)
    assert _imported(ast.parse(parameters)) <= {"typing.Literal"}
    assert not _imported(ast.parse("\n".join(rest)))
    found = {
        framework
        for name in _imported(ast.parse(imports))
        for module, framework in FRAMEWORKS.items()
        if f"{name}.".startswith(f"{module}.")
    }
    assert len(found) <= 1, f"frameworks meet: {found}"


def test_every_parameter_has_a_meaning_is_read_and_never_reassigned(path):
    schema = params.read_schema(path)
    cells = _code(path)
    names = [node for node in ast.walk(ast.parse("\n".join(cells[1:]))) if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    library = "\n".join(file.read_text("utf-8") for file in (project.root() / "lib").rglob("*.py"))
    siblings = "\n".join("\n".join(_code(other)) for other in path.parent.glob("*.ipynb"))
    for name in schema.defaults:
        assert schema.meanings.get(name), f"{name} has no meaning behind it"
        # Read by the notebook, or by the library from the record of a run.
        taken = any(text in library for text in (f'parameters["{name}"]', f'parameters.get("{name}"'))
        assert name in read or taken or f'settings["{name}"]' in siblings, f"{name} is not read"
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assert not assigned & set(schema.defaults)


def test_no_path_of_a_machine(path):
    assert not re.search(r"[\"'](/home|/root|/Users|/tmp|[A-Z]:\\\\)", committed.text(path))


def test_it_is_committed_without_outputs(path):
    if path.stem.startswith("4_"):
        pytest.skip("results notebooks keep their outputs")
    keys = "metadata.papermill metadata.widgets cell.metadata.papermill cell.metadata.execution"
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--verify", "--extra-keys", keys],
        input=committed.text(path), capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
