"""The parameters of a notebook: read from its annotated ``parameters`` cell, checked strictly.

papermill itself only warns about an unknown name and passes text where a number is meant, so nothing is left to it:
every value goes through the schema that is read here, without running any code of the notebook.
"""

import ast
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from medseg import project
from medseg.errors import MedsegError
from medseg.names import did_you_mean

_PLAIN = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Schema:
    """What a notebook can be asked."""

    notebook: Path
    model: type[BaseModel]  # strict, extra keys forbidden
    meanings: dict[str, str]  # the comment behind each parameter, by name

    @property
    def defaults(self) -> dict[str, Any]:
        """Value of every parameter as the notebook states it."""
        return {name: info.default for name, info in self.model.model_fields.items()}

    def complete(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """All parameters: ``values``, and the notebook's defaults for the rest.

        ``where`` is what a message names as the place of the values, such as a sweep file and row. A
        :class:`MedsegError` names every unknown name and value of a wrong type at once.
        """
        try:
            return self.model.model_validate(dict(values)).model_dump()
        except ValidationError as error:
            faults = "\n".join(f"  - {self._fault(entry)}" for entry in error.errors())
            raise MedsegError(f"{where}:\n{faults}") from None

    def read(self, settings: Iterable[str], where: str) -> dict[str, Any]:
        """Values from texts ``NAME=VALUE`` of a command line, each read as its parameter's type demands.

        A :class:`MedsegError` where there is no ``=``; the values are for :meth:`complete` to check.
        """
        values = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise MedsegError(f"{where}: found {setting!r}, expected NAME=VALUE, such as seed=3.")
            field = self.model.model_fields.get(name.strip())
            values[name.strip()] = text if field and field.annotation is str else yaml.safe_load(text)
        return values

    def _fault(self, entry: Mapping[str, Any]) -> str:
        name = str(entry["loc"][0])
        if entry["type"] == "extra_forbidden":
            return f"{unknown_key(name, self.model.model_fields)} It is no parameter of {self.notebook.stem}."
        found, annotation = entry["input"], self.model.model_fields[name].annotation
        place = "".join(f"[{part}]" for part in entry["loc"][1:] if isinstance(part, int))
        expected = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
        hint = _hint(found, annotation)
        meaning = f" ({self.meanings[name]})" if self.meanings.get(name) else ""
        return f"{name}{place}: found {found!r} ({type(found).__name__}), expected {expected}{meaning}.{hint}"


def read_schema(notebook: Path) -> Schema:
    """Read the cell tagged ``parameters``: lines ``name: type = value  # meaning, unit``.

    Types are int, float, str, bool, ``list[...]`` of one of them, and ``Literal[...]``. A :class:`MedsegError` where
    the notebook is missing, has not exactly one such cell, or a line that is none of these.
    """
    source = parameters_source(notebook)
    fields: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            continue
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            raise MedsegError(
                f"{project.display(notebook)}, parameters cell, line {node.lineno}: found {ast.unparse(node)!r}, "
                "expected 'name: type = value  # meaning, unit'."
            )
        try:
            fields[node.target.id] = (_type(node.annotation), ast.literal_eval(node.value))
        except (ValueError, KeyError):
            raise MedsegError(
                f"{project.display(notebook)}, parameter {node.target.id!r}: the type "
                f"{ast.unparse(node.annotation)!r} or the value {ast.unparse(node.value)!r} is not allowed; use int, "
                "float, str, bool, list[...] or Literal[...] and a plain value."
            ) from None
    model = create_model(
        "Parameters",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, validate_default=True),
        **fields,
    )
    schema = Schema(notebook, model, meanings(source))
    schema.complete({}, f"{project.display(notebook)}, defaults of the parameters cell")
    return schema


def of_notebook(notebook: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they stand in a running notebook, checked.

    ``notebook`` is such as ``"polyp/2_train_torch"``, below ``notebooks/``, ``namespace`` its ``globals()``. A
    :class:`MedsegError` where a value has the wrong type (``-p amp true`` arrives as the text "true").
    """
    schema = read_schema(project.root() / "notebooks" / f"{notebook}.ipynb")
    values = {name: namespace[name] for name in schema.model.model_fields}
    return schema.complete(values, f"Parameters of {notebook}")


def unknown_key(name: str, valid: Any) -> str:
    """Sentence that names an unknown key and the nearest valid ones."""
    return f"unknown key {name!r}." + (did_you_mean(name, valid) or f" Valid: {', '.join(sorted(valid))}.")


def parameters_source(notebook: Path) -> str:
    """Source of the one cell tagged ``parameters``."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except FileNotFoundError:
        siblings = sorted(path.stem for path in notebook.parent.glob("*.ipynb"))
        raise MedsegError(
            f"No notebook {project.display(notebook)}. There are: {', '.join(siblings) or 'none in that folder'}."
        ) from None
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise MedsegError(f"{project.display(notebook)} is not a notebook: {error}.") from error
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise MedsegError(f"{project.display(notebook)} has {len(tagged)} cells tagged 'parameters', expected one.")
    return "".join(tagged[0]["source"])


def _type(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _PLAIN[node.id]
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        if node.value.id == "list":
            return list.__class_getitem__(_PLAIN[ast.unparse(node.slice)])
        if node.value.id == "Literal":
            choices = ast.literal_eval(node.slice)
            return Literal[choices if isinstance(choices, tuple) else (choices,)]
    raise ValueError(ast.unparse(node))


def meanings(source: str) -> dict[str, str]:
    """The comment behind each parameter of a parameters cell, by name."""
    lines = source.splitlines()
    comments = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and ":" in lines[token.start[0] - 1][: token.start[1]]:
            name = lines[token.start[0] - 1].split(":")[0].strip()
            comments[name] = token.string.lstrip("# ").strip()
    return comments


def _hint(found: Any, annotation: Any) -> str:
    if annotation is float and isinstance(found, str):
        try:
            return f" Write {float(found)!r}, or with a dot: YAML takes 1e-4 for text, 1.0e-4 for a number."
        except ValueError:
            return ""
    if annotation is bool and isinstance(found, str) and found.lower() in ("true", "false"):
        return f" Write it as {found.capitalize()} for papermill -p, or unquoted in YAML."
    return ""
