import pytest

from medseg.errors import MedsegError
from medseg.experiments import params

CELL = """from typing import Literal
resolution: int = 96  # side of the square, pixels
learning_rate: float = 1e-3  # of Adam
compile: bool = False  # torch.compile
parts: list[str] = ["cbam"]  # of the unet
schedule: Literal["plateau", "cosine"] = "plateau"
"""


@pytest.fixture
def schema(tmp_path, write_notebook):
    return params.read_schema(write_notebook(tmp_path / "toy" / "2_train.ipynb", CELL))


def test_defaults_and_meanings_are_read_without_running_the_notebook(schema):
    assert schema.defaults == {
        "resolution": 96, "learning_rate": 0.001, "compile": False, "parts": ["cbam"], "schedule": "plateau"
    }  # fmt: skip
    assert schema.meanings["resolution"] == "side of the square, pixels"
    assert schema.complete({"learning_rate": 1}, "here")["learning_rate"] == 1.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"resolutoin": 64}, "unknown key 'resolutoin'. Did you mean 'resolution'?"),
        ({"resolution": "64"}, "resolution: found '64' (str), expected int (side of the square, pixels)"),
        ({"resolution": 64.5}, "expected int"),
        ({"resolution": True}, "found True (bool), expected int"),
        ({"learning_rate": "1e-4"}, "YAML takes 1e-4 for text, 1.0e-4 for a number"),
        ({"learning_rate": float("nan")}, "learning_rate: found nan"),
        ({"compile": "true"}, "Write it as True for papermill -p"),
        ({"parts": "cbam"}, "parts: found 'cbam' (str), expected list[str]"),
        ({"parts": ["cbam", 3]}, "parts[1]: found 3 (int)"),
        ({"schedule": "step"}, "schedule: found 'step'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(schema, values, expected):
    with pytest.raises(MedsegError) as refusal:
        schema.complete(values, "sweep.yaml, run 3")
    assert str(refusal.value).startswith("sweep.yaml, run 3:")
    assert expected in str(refusal.value)


def test_texts_of_a_command_line_are_read_as_the_types_demand(schema):
    read = schema.read(["schedule=cosine", "resolution=96", "learning_rate=1.0e-3", "parts=[cbam, aspp]"], "here")
    assert read == {"schedule": "cosine", "resolution": 96, "learning_rate": 0.001, "parts": ["cbam", "aspp"]}
    assert schema.complete(read, "here")["resolution"] == 96


def test_every_fault_is_named_at_once(schema):
    with pytest.raises(MedsegError) as refusal:
        schema.complete({"resolution": "x", "seeed": 1}, "here")
    assert "resolution" in str(refusal.value)
    assert "seeed" in str(refusal.value)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a = 1", "line 1: found 'a = 1'"),
        ("a: int", "expected 'name: type = value"),
        ("a: int = b = 2", "invalid syntax"),
        ("a: dict = {}", "the type 'dict'"),
        ("a: int = 1 + n", "the value '1 + n'"),
        ("a: int | None = None", "is not allowed"),
        ("a: int = 'x'", "a: found 'x' (str), expected int"),
    ],
)
def test_a_parameters_cell_of_another_form_is_refused(tmp_path, write_notebook, cell, expected):
    notebook = write_notebook(tmp_path / "toy.ipynb", cell)
    with pytest.raises((MedsegError, SyntaxError), match=None) as refusal:
        params.read_schema(notebook)
    assert expected in str(refusal.value)


def test_missing_notebook_and_missing_cell_are_named(tmp_path, write_notebook):
    write_notebook(tmp_path / "2_train.ipynb", None, "print(1)")
    with pytest.raises(MedsegError, match="There are: 2_train"):
        params.read_schema(tmp_path / "3_train.ipynb")
    with pytest.raises(MedsegError, match="0 cells tagged 'parameters'"):
        params.read_schema(tmp_path / "2_train.ipynb")
