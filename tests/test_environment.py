"""The files that make an environment agree with each other, and the layers of the package keep apart."""

import ast
import re
import subprocess
import sys

import pytest
import yaml

from medseg import project

ROOT = project.root()
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
FRAMEWORK_FOLDERS = ("pytorch", "keras", "keras_legacy")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_holds_every_dependency_as_pinned():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    blocks = re.search(r"^dependencies = \[(.*?)^\]", text, re.S | re.M).group(1)
    blocks += re.search(r"^dev = \[(.*?)\]$", text, re.S | re.M).group(1)
    wanted = re.findall(r'^\s*"([^"]+)"|(?<=\[)"([^"]+)"|, "([^"]+)"', f"\n{blocks}", re.M)
    wanted = [next(filter(None, match)) for match in wanted]
    assert len(wanted) > 35
    locked = {}
    for name, version in re.findall(r"^([a-zA-Z0-9._-]+)==([^ \\]+)", LOCK, re.M):
        locked.setdefault(_normal(name), set()).add(version)
    for requirement in wanted:
        name, pin = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:==([^;]+))?", requirement).groups()
        assert _normal(name) in locked, f"{name} is not locked: make lock"
        if pin:
            assert locked[_normal(name)] == {pin.strip()}, f"{name} is locked otherwise: make lock"


def test_the_lock_has_hashes_and_names_no_index():
    entries = re.split(r"^(?=[a-zA-Z0-9._-]+==)", LOCK, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK
    options = {line.split()[0] for line in LOCK.splitlines() if line.lstrip().startswith("--")}
    assert all(option.startswith("--hash=") for option in options), options


def test_conda_installs_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["name"] == "medseg"
    python, pip, packages = environment["dependencies"]
    assert pip == "pip"
    assert packages == {"pip": ["-r requirements.lock"]}
    supported = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert int(supported[1]) <= int(python.removeprefix("python=3.")) < int(supported[2])


def test_continuous_integration_runs_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_nothing_outside_the_framework_folders_imports_a_framework():
    modules = [
        ".".join(path.relative_to(ROOT / "lib").with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "lib" / "medseg").rglob("*.py"))
        if path.relative_to(ROOT / "lib" / "medseg").parts[0] not in FRAMEWORK_FOLDERS
    ]
    assert len(modules) > 30
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    found = {'torch', 'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
        "    assert not found, f'{name} imports {found}'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("layer", ["datasets", "masks", "metrics"])
def test_the_lowest_layers_know_none_above_them(layer):
    above = "|".join(("experiments", "reporting", "cli", *FRAMEWORK_FOLDERS))
    for path in (ROOT / "lib" / "medseg" / layer).rglob("*.py"):
        found = re.search(rf"(from|import) medseg\.({above})\b", path.read_text("utf-8"))
        assert not found, f"{path.name}: {found}"


def test_init_files_hold_a_docstring_and_no_names():
    """A framework's folder may also set the switches that the framework reads while it is imported."""
    for path in (ROOT / "lib").rglob("__init__.py"):
        first, *rest = ast.parse(path.read_text("utf-8")).body
        assert isinstance(first, ast.Expr), path
        for node in rest:
            assert ast.unparse(node).startswith(("import os", "os.environ")), f"{path}: {ast.unparse(node)}"
