"""The files that make an environment agree with each other."""

import re

import yaml

from medseg import project

ROOT = project.root()
LOCK = (ROOT / "requirements.lock").read_text("utf-8")


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
