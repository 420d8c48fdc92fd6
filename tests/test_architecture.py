"""The house keeps its walls: which package may import which, no circles, frameworks apart, no study in another."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from medseg import project

LIB = project.root() / "lib"
FRAMEWORK_FOLDERS = ("pytorch", "keras", "keras_legacy", "tf_shared")
#: Single modules of the package that any other may use; they use only one another.
GROUND = {"errors", "project", "atomic", "names", "downloads"}
_DATA = {"metrics", "masks", "datasets", "registry"}
#: For each package what it may import besides itself and the ground. docs/architecture.md draws this.
ALLOWED = {
    **{module: set() for module in GROUND},
    "registry": {"studies"},
    "masks": set(),
    "metrics": {"masks"},
    "datasets": {"masks", "metrics", "registry"},
    "experiments": _DATA,
    "evaluation": _DATA | {"experiments"},
    "tf_shared": _DATA | {"experiments", "evaluation"},
    "pytorch": _DATA | {"experiments", "evaluation"},
    "keras": _DATA | {"experiments", "evaluation", "tf_shared"},
    "keras_legacy": _DATA | {"experiments", "evaluation", "tf_shared"},
    "reporting": _DATA | {"experiments", "evaluation", "prediction"},
    "studies": _DATA | {"experiments", "evaluation", "reporting"},
    "prediction": _DATA | {"experiments", "evaluation"},
    "export": _DATA | {"experiments", "evaluation", "prediction"},
    "commands": _DATA | {"experiments", "evaluation", "prediction", "reporting", "export"},
    "cli": {"commands"},
}


def _modules() -> dict[str, Path]:
    """Every module of ``lib`` by its dotted name."""
    return {
        ".".join(path.relative_to(LIB).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(LIB.rglob("*.py"))
    }


MODULES = _modules()


def imports_of(source: str, known: set[str]) -> set[str]:
    """The modules out of ``known`` that a source imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found & known


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way from a node back to itself, [] where there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for following in sorted(arrows.get(node, ())):
                if circle := walk(following, [*way, node]):
                    return circle
            done.add(node)
        return []

    return next((circle for node in sorted(arrows) if (circle := walk(node, []))), [])


ARROWS = {name: imports_of(path.read_text("utf-8"), set(MODULES)) - {name} for name, path in MODULES.items()}


def _package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_the_finders_find():
    known = {"a", "a.b", "c.d"}
    source = "def f():\n    from a import b\nimport c.d\nfrom a.b import x\nimport os"
    assert imports_of(source, known) == {"a.b", "c.d"}
    assert imports_of("from a import x", known) == {"a"}
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_every_package_has_its_place():
    found = {_package(name) for name in MODULES if name.startswith("medseg.")}
    assert found == set(ALLOWED), "tell ALLOWED and docs/architecture.md of a new package"


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_arrows_point_where_they_may(package):
    faults = [
        f"{name} imports {target}"
        for name, targets in ARROWS.items()
        if name.startswith("medseg.") and _package(name) == package
        for target in targets
        if target != "medseg" and _package(target) not in ALLOWED[package] | GROUND | {package}
    ]
    assert faults == []


def test_no_study_imports_another():
    faults = [
        f"{name} imports {target}"
        for name, targets in ARROWS.items()
        for target in targets
        if name.startswith("medseg.studies.")
        and target.startswith("medseg.studies.")
        and name.split(".")[2] != target.split(".")[2]
    ]
    assert faults == []


def test_what_a_study_says_of_itself_needs_nothing_but_the_registry():
    for name, targets in ARROWS.items():
        if name.startswith("medseg.studies.") and name.endswith(".study"):
            assert targets == {"medseg.registry"}, name


def test_the_library_does_not_import_the_drawings():
    assert not [name for name, targets in ARROWS.items() if name.startswith("medseg") and any(
        target.startswith("phantoms") for target in targets
    )]  # fmt: skip


def test_there_is_no_circle():
    assert find_circle(ARROWS) == []


def test_nothing_outside_the_framework_folders_imports_a_framework():
    modules = [name for name in MODULES if _package(name) not in FRAMEWORK_FOLDERS]
    assert len(modules) > 100
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    found = {'torch', 'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
        "    assert not found, f'{name} imports {found}'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_no_process_of_a_report_builds_a_grammar():
    """It would take a second or two of each; see ``without_grammar``."""
    code = "import sys, medseg.experiments.papermill_process, medseg.reporting.html; assert 'lark' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_init_files_hold_a_docstring_and_no_names():
    """A framework's folder may also set and check the switches that the framework reads while it is imported."""
    for path in LIB.rglob("__init__.py"):
        first, *rest = ast.parse(path.read_text("utf-8")).body
        assert isinstance(first, ast.Expr), path
        if path.parent.name not in FRAMEWORK_FOLDERS:
            assert rest == [], path
        assert not any(isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medseg.") for node in rest)
