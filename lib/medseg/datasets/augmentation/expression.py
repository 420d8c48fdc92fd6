"""How an augmentation is written: a preset's name, or terms joined by `` + ``.

A term is a name, or a call with literal keyword arguments: ``Rotate(limit=10, p=0.5) + RandomGamma()``.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medseg.errors import MedsegError


@dataclass(frozen=True)
class Term:
    """One term.

    Attributes:
        name: of what is to be done.
        arguments: its keyword arguments; None where it is a bare name, without parentheses.
    """

    name: str
    arguments: dict[str, Any] | None = None


def read_terms(specification: str, presets: Mapping[str, str], how: str) -> list[Term]:
    """The terms of a specification, in order; none for an empty one.

    Args:
        specification: a name of ``presets``, or terms.
        presets: what a name stands for.
        how: a sentence that says how to write it, put at the end of messages.

    Raises:
        MedsegError: it is no such expression, an argument has no name or is no literal, or is there twice.
    """
    written = presets.get(specification.strip(), specification.strip())
    if not written:
        return []
    try:
        tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MedsegError(f"The augmentation {specification!r} cannot be read: {error}. {how}") from error
    terms = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):  # a + b + c is (a + b) + c
        terms.append(tree.right)
        tree = tree.left
    return [_term(term, specification, how) for term in (tree, *terms[::-1])]


def _term(term: ast.expr, specification: str, how: str) -> Term:
    if isinstance(term, ast.Name):
        return Term(term.id)
    if not (isinstance(term, ast.Call) and isinstance(term.func, ast.Name)):
        raise MedsegError(f"{ast.unparse(term)!r} in the augmentation {specification!r} is not a transform. {how}")
    name = term.func.id
    values: dict[str, Any] = {}
    for keyword in term.keywords:
        if term.args or keyword.arg is None:
            raise MedsegError(f"{name} takes its parameters by name, as in Rotate(limit=10, p=0.5).")
        if keyword.arg in values:
            raise MedsegError(f"{name} has {keyword.arg!r} twice.")
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            raise MedsegError(
                f"{name}({keyword.arg}={ast.unparse(keyword.value)}) is not a plain value; write numbers, pairs or "
                "True and False."
            ) from error
    return Term(name, values)
