"""Nothing but POSIX has some modules and functions; medseg does without them.

There is no Windows here: these tests take away from Linux what Windows lacks, no more.
"""

import ast
import subprocess
import sys

import pytest

from medseg import project

LIBRARY = project.root() / "lib"
FRAMEWORK_FOLDERS = ("pytorch", "keras", "keras_legacy", "tf_shared")
POSIX_ONLY = ("resource", "fcntl", "pwd", "grp", "termios", "pty", "syslog")
TAKE_AWAY = f"""
import os, sys
import psutil  # first: of its own parts for each system, this is the one for Linux
for name in {POSIX_ONLY}:
    sys.modules[name] = None
for name in ("sched_getaffinity", "setsid", "killpg", "getpgid", "mkfifo"):
    delattr(os, name)
"""


def _modules(*folders: str) -> list[str]:
    """Modules in ``folders`` of the package; without any, those in no folder of a framework."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        place = path.relative_to(LIBRARY)
        if place.parts[1] in folders or not (folders or place.parts[1] in FRAMEWORK_FOLDERS):
            found.append(".".join(place.with_suffix("").parts).removesuffix(".__init__"))
    return found


def _run(code: str, *, take_away: str = TAKE_AWAY, **options) -> str:
    command = [sys.executable, "-c", take_away + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _import(modules: list[str]) -> str:
    return f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n"


def test_no_module_needs_at_once_what_only_posix_has():
    for name in [*_modules(), *_modules(*FRAMEWORK_FOLDERS)]:
        path = LIBRARY.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not set(names) & set(POSIX_ONLY), path


def test_everything_without_a_framework_can_be_imported():
    modules = _modules()
    assert {"medseg.cli", "medseg.experiments.notebooks", "phantoms.polyp.sample"} <= set(modules)
    _run(_import(modules))


@pytest.mark.parametrize("room", ["pytorch", "keras", "keras_legacy"])
def test_a_framework_room_can_be_imported(room, request):
    """Only ``resource`` goes: on Linux the frameworks themselves want the rest."""
    if request.config.getoption("light"):
        pytest.skip("takes a framework")
    modules = _modules(room)
    assert len(modules) > 5
    _run(_import(modules), take_away="import psutil, sys; sys.modules['resource'] = None\n")


def test_slots_memory_and_a_notebook_work(tmp_path, write_notebook):
    notebook = write_notebook(tmp_path / "toy.ipynb", "value: int = 1", "open('result', 'w').write(str(value))")
    code = f"""
from pathlib import Path
from medseg.experiments.slots import local_slots
from medseg.experiments.provenance import peak_resident_mb
from medseg.experiments.notebooks import run_notebook
folder = Path({str(tmp_path)!r}) / "run"
done = run_notebook(Path({str(notebook)!r}), folder / "toy.ipynb", {{"value": 7}}, result=folder / "result")
assert done.outcome == "done", done
assert local_slots(1) and peak_resident_mb() > 10
"""
    _run(code)
    assert (tmp_path / "run" / "result").read_text() == "7"
