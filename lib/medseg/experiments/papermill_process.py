"""The program that executes one notebook: papermill's own command, taught to read our parameters cells.

papermill finds parameters with a regular expression that knows no ``Literal[...]`` and no ``=`` in a comment, and warns
about every other one as "unknown".
"""

import ast
from typing import Any

from papermill.cli import papermill
from papermill.models import Parameter
from papermill.translators import PythonTranslator, papermill_translators

from medseg.experiments import params


class AnnotatedParameters(PythonTranslator):
    """Values are written as papermill writes them; names are read from the syntax of the cell."""

    @classmethod
    def inspect(cls, parameters_cell: Any) -> list[Parameter]:
        """Every ``name: type = value  # meaning`` of the cell; papermill's own reading where it is no Python."""
        source = parameters_cell["source"]
        try:
            nodes = ast.parse(source).body
        except SyntaxError:
            return super().inspect(parameters_cell)
        meanings = params.meanings(source)
        return [
            Parameter(
                name=node.target.id,
                inferred_type_name=ast.unparse(node.annotation),
                default=ast.unparse(node.value),
                help=meanings.get(node.target.id, ""),
            )
            for node in nodes
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
        ]


if __name__ == "__main__":
    papermill_translators.register("python", AnnotatedParameters)
    papermill()
