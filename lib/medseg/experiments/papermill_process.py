"""The program that executes one notebook: ``python -m ... PARENT_PID`` and what papermill's own command takes.

It cannot outlive the process that started it, and is taught to read our parameters cells: papermill finds parameters
with a regular expression that knows no ``Literal[...]`` and no ``=`` in a comment, and warns about others as "unknown".
"""

import ast
import sys
from typing import Any

from medseg.experiments import without_grammar  # noqa: F401 - first

# isort: split
from papermill.cli import papermill
from papermill.models import Parameter
from papermill.translators import PythonTranslator, papermill_translators

from medseg.experiments import params, parent_death


class AnnotatedParameters(PythonTranslator):
    """Values are written as papermill writes them; names are read from the syntax of the cell."""

    @classmethod
    def inspect(cls, parameters_cell: Any) -> list[Parameter]:
        """Every ``name: type = value  # meaning`` of the cell."""
        source = parameters_cell["source"]
        meanings = params.meanings(source)
        return [
            Parameter(
                name=node.target.id,
                inferred_type_name=ast.unparse(node.annotation),
                default=ast.unparse(node.value),
                help=meanings.get(node.target.id, ""),
            )
            for node in ast.parse(source).body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
        ]


def main(parent: int) -> None:
    """Execute the notebook that ``sys.argv`` asks for, as papermill's command does; ends with the process."""
    (parent_death.ask_linux if sys.platform == "linux" else parent_death.watch)(parent)
    papermill_translators.register("python", AnnotatedParameters)
    papermill()


if __name__ == "__main__":
    main(int(sys.argv.pop(1)))
