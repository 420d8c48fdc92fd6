"""``medseg params``: all parameters of every notebook, where papermill's own list misses some."""

import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import parameter_list
from medseg.experiments.params import read_schema

CELL = """from typing import Literal
resolution: int = 96  # side of the square, pixels
parts: list[str] = ["cbam"]  # of the unet
schedule: Literal["plateau", "cosine"] = "plateau"  # of the rate; cosine(epochs=20) restarts
"""


@pytest.fixture
def toy(tmp_path, monkeypatch, write_notebook):
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    return write_notebook(tmp_path / "notebooks" / "toy" / "2_train.ipynb", CELL, "pass")


@pytest.mark.parametrize("form", ["toy/2_train", "notebooks/toy/2_train.ipynb", "{root}/notebooks/toy/2_train.ipynb"])
def test_types_choices_defaults_and_meanings_are_shown(toy, tmp_path, form):
    assert parameter_list.describe(form.format(root=tmp_path)).splitlines()[2:] == [
        "resolution: int = 96",
        "    side of the square, pixels",
        "parts: list[str] = ['cbam']",
        "    of the unet",
        "schedule: 'plateau' | 'cosine' = 'plateau'",
        "    of the rate; cosine(epochs=20) restarts",
    ]


def test_a_study_lists_its_notebooks(toy):
    assert parameter_list.describe("toy").split()[:3] == ["toy/2_train", "3", "parameters"]
    assert parameter_list.describe("") == parameter_list.describe("toy")


@pytest.mark.parametrize("name", ["teeth", "teeth/2_train", "toy/2/3"])
def test_an_unknown_study_is_answered_with_the_known_ones(toy, name):
    with pytest.raises(MedsegError, match=r"expected a study \(toy\), STUDY/NAME such as toy/1_preprocess"):
        parameter_list.describe(name)


def test_an_unknown_notebook_is_answered_with_its_neighbours(toy):
    with pytest.raises(MedsegError, match=r"No notebook .*3_eval\.ipynb\. There are: 2_train\."):
        parameter_list.describe("toy/3_eval")


def test_no_parameter_of_any_notebook_is_missing():
    for path in (project.root() / "notebooks").glob("*/*.ipynb"):
        lines = parameter_list.describe(f"{path.parent.name}/{path.stem}").splitlines()
        shown = {line.split(":")[0] for line in lines[2::2]}
        assert shown == set(read_schema(path).model.model_fields)
        assert all(line.startswith("    ") for line in lines[3::2]), path
