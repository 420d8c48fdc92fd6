"""A name with settings in parentheses, as parameters write optimizers: ``adamw``, ``sgd(momentum=0.9)``."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from medseg.errors import MedsegError
from medseg.names import did_you_mean

Kind = TypeVar("Kind", bound=Callable[..., Any])


def read_optimizer(
    written: str, known: Mapping[str, Kind], own: Mapping[str, str], hidden: Sequence[str] = ()
) -> tuple[Kind, dict[str, Any]]:
    """The optimizer among ``known`` (by lower-case name) that a text names, and its settings.

    Args:
        own: settings that the notebook has parameters for, and the name of each of these.
        hidden: further arguments that are no settings.

    Raises:
        MedsegError: no optimizer of that name (the nearest is named), or a setting that it does not have.
    """
    name, _, rest = written.strip().partition("(")
    kind = known.get(name.strip().lower())
    if kind is None:
        raise MedsegError(
            f"There is no optimizer {name.strip()!r}.{did_you_mean(name, known)} Choose one of: "
            f"{', '.join(sorted(known))}; settings in parentheses, as in sgd(momentum=0.9)."
        )
    settings = _settings(written, rest) if rest else {}
    there = [key for key in inspect.signature(kind).parameters if key not in own and key not in hidden]
    for key in settings:
        if key in own:
            raise MedsegError(f"optimizer: {key} is a parameter of the notebook ({own[key]}).")
        if key not in there:
            raise MedsegError(f"{name} has no setting {key!r}.{did_you_mean(key, there)} It has {', '.join(there)}.")
    return kind, settings


def refused(written: str, error: Exception) -> MedsegError:
    """What to tell of settings with which an optimizer cannot be made."""
    return MedsegError(f"optimizer {written!r} cannot be had: {error}.")


def _settings(written: str, rest: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if isinstance(call, ast.Call) and not call.args and all(keyword.arg for keyword in call.keywords):
            return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        pass
    raise MedsegError(f"optimizer {written!r} cannot be read; write it like sgd(momentum=0.9, nesterov=True).")
