"""What the documents name is there."""

import re

import pytest
import test_architecture
import yaml
from typer.main import get_command

from medseg import project
from medseg.cli import app

ROOT = project.root()
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/results.md",
    "docs/weights.md",
    "data/README.md",
]
DOCUMENTS += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "formats").glob("*.md"))]


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_paths_and_commands_are_real(name):
    text = _text(name)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target
    folders = "lib|notebooks|tests|docs|benchmarks|data|experiments|evaluation|datasets|pytorch|keras|keras_legacy"
    for path in re.findall(rf"`((?:{folders}|\.github|\.ci)/[\w./-]+)`", text):
        if re.search("STUDY|NAME|RUN|TEST_SET", path) or path == "data/sample":
            continue
        assert (ROOT / path).exists() or (ROOT / "lib" / "medseg" / path).exists(), path
    commands = set(get_command(app).commands)
    assert set(re.findall(r"(?:`|\n)medseg ([a-z]+)", text)) <= commands
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.M))
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets


def test_the_drawing_shows_allowed_arrows_and_every_package():
    text = _text("docs/architecture.md")
    arrows = re.findall(r"^    (\w+) --> (\w+)$", text, re.M)
    assert len(arrows) > 10
    for package, target in arrows:
        assert target in test_architecture.ALLOWED[package], f"{package} may not import {target}"
    for package in test_architecture.ALLOWED:
        assert f"`{package}" in text, package


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(_text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f'version = "{citation["version"]}"' in _text("pyproject.toml")
    assert f'license = "{citation["license"]}"' in _text("pyproject.toml")


def test_hooks_and_workflow_run_what_is_here():
    hooks = yaml.safe_load(_text(".pre-commit-config.yaml"))["repos"]
    assert [hook["repo"] for hook in hooks] == ["local"]
    assert all(hook["language"] == "system" for hook in hooks[0]["hooks"])
    jobs = yaml.safe_load(_text(".github/workflows/ci.yml"))["jobs"]
    assert {"run": ".ci/run"} in jobs["everything"]["steps"]
    assert jobs["light"]["steps"][-1]["run"].endswith("pytest --light tests")
