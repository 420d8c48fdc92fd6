"""What ``medseg params`` shows: the notebooks of a study, the parameters of a notebook."""

import json
from pathlib import Path
from typing import Any, get_args, get_origin

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments.params import read_schema


def describe(name: str) -> str:
    """The parameters of a notebook, or the notebooks of a study, as lines for a terminal.

    ``name`` is ``STUDY/NAME`` or a path to a notebook; a study; "" for every study. A :class:`MedsegError` where there
    is none of these, or its parameters cell cannot be read.
    """
    folder = project.root() / "notebooks"
    if not name or (folder / name).is_dir():
        return _notebooks(sorted((folder / name).glob("*.ipynb" if name else "*/*.ipynb")))
    notebook = _notebook(folder, name)
    schema = read_schema(notebook)
    lines = [f"{project.display(notebook)}: {_title(notebook)}", ""]
    for parameter, field in schema.model.model_fields.items():
        lines.append(f"{parameter}: {type_name(field.annotation)} = {field.default!r}")
        lines.append(f"    {schema.meanings.get(parameter, '')}".rstrip())
    return "\n".join(lines)


def _notebook(folder: Path, name: str) -> Path:
    given = Path(name).expanduser()
    if given.suffix == ".ipynb":
        return given if given.is_file() else project.resolve(given)
    studies = sorted({path.parent.name for path in folder.glob("*/*.ipynb")})
    if len(given.parts) != 2 or given.parts[0] not in studies:
        raise MedsegError(
            f"No notebook {name!r}: expected a study ({', '.join(studies)}), STUDY/NAME such as "
            f"{studies[0]}/1_preprocess, or a path that ends in .ipynb."
        )
    return folder / f"{name}.ipynb"


def _notebooks(notebooks: list[Path]) -> str:
    counts = [len(read_schema(path).model.model_fields) for path in notebooks]
    rows = [
        f"{f'{path.parent.name}/{path.stem}':24}{count:3} parameters   {_title(path)}"
        for path, count in zip(notebooks, counts, strict=True)
    ]
    return "\n".join([*rows, "", "'medseg params STUDY/NAME' shows the parameters of one."])


def _title(notebook: Path) -> str:
    """The heading of the first cell."""
    first = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"]).splitlines() or [""]
    return first[0].lstrip("# ").strip()


def type_name(annotation: Any) -> str:
    """A parameter's type as a person writes it: ``int``, ``list[str]``, or the choices ``'a' | 'b'``."""
    if get_origin(annotation) is list:
        return f"list[{get_args(annotation)[0].__name__}]"
    if get_args(annotation):
        return " | ".join(map(repr, get_args(annotation)))
    return annotation.__name__
