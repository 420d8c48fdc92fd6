"""What a sweep says once for all of its rows: the seeds with which each is repeated, and the budget that each gets."""

from collections.abc import Mapping, Sequence
from typing import Any

from medseg.errors import MedsegError
from medseg.experiments.params import Schema, unknown_key

Row = dict[str, Any]
#: Keys of ``budget``, with what is counted.
BUDGETS = {"max_minutes": "minutes", "max_steps": "steps", "max_epochs": "epochs"}
#: No epoch is over within a millisecond, so that a limit of minutes comes before as many epochs as it has of those.
_MOST_EPOCHS_PER_MINUTE = 60_000


def repeats(seeds: Any, rows: Sequence[Row], base: Mapping[str, Any], schema: Schema, where: str) -> list[Row]:
    """What is put into a row, one after the other, to repeat it: a ``seed`` each; one {} where nothing is repeated.

    Args:
        seeds: how many (the seed that every row has anyway, and the next ones), or a list of seeds; None: no repeats.
        rows: parameters of the rows, those of the grid included.
        base: parameters of all rows; a ``seed`` among them is the first of a number of seeds.
        schema: of the training notebook.
        where: the sweep file, for messages.

    Raises:
        MedsegError: neither of these, a seed twice, a row that has one of its own, or a notebook without seeds.
    """
    if seeds is None:
        return [{}]
    given = seeds if isinstance(seeds, list) else [seeds]
    least = 0 if isinstance(seeds, list) else 1
    if not given or not all(type(seed) is int and seed >= least for seed in given):
        raise MedsegError(
            f"{where}, seeds: found {seeds!r}, expected how many (1 or more) or a list of seeds such as [1, 2, 3]."
        )
    if doubled := sorted({seed for seed in given if given.count(seed) > 1}):
        raise MedsegError(f"{where}, seeds: {', '.join(map(str, doubled))} is in {seeds!r} more than once.")
    if "seed" not in schema.model.model_fields:
        raise MedsegError(f"{where}, seeds: {schema.notebook.stem} has no parameter seed. Remove the key.")
    in_rows = any("seed" in row for row in rows)
    if in_rows or (isinstance(seeds, list) and "seed" in base):
        place = "a row or the grid sets" if in_rows else "the parameters of all rows set"
        raise MedsegError(f"{where}: {place} seed, and so does seeds. Keep one of the two.")
    if isinstance(seeds, list):
        return [{"seed": seed} for seed in seeds]
    first = base.get("seed", schema.defaults["seed"])
    # A first seed that is no whole number is for the schema to refuse.
    return [{"seed": first + number} for number in range(seeds)] if type(first) is int else [{}]


def granted(budget: Any, rows: Sequence[Row], base: Mapping[str, Any], where: str) -> Row:
    """The parameters by which every row gets the same budget; {} without one.

    A budget of steps or minutes raises ``max_epochs``, whatever the file says of it for all rows: to the number of
    steps, as no epoch has less than one; or to as many as the minutes have milliseconds.

    Args:
        budget: of one key of ``BUDGETS``; None: no budget.
        rows: parameters of the rows, those of the grid included.
        base: parameters of all rows.
        where: the sweep file, for messages.

    Raises:
        MedsegError: none of these, not more than 0, or a limit that the file sets elsewhere too.
    """
    if budget is None:
        return {}
    if not isinstance(budget, dict) or len(budget) != 1:
        known = " or ".join(f"{{{key}: ...}}" for key in BUDGETS)
        raise MedsegError(f"{where}, budget: found {budget!r}, expected one of {known}.")
    [(key, limit)] = budget.items()
    if key not in BUDGETS:
        raise MedsegError(f"{where}, budget: {unknown_key(str(key), BUDGETS)}")
    kinds = (int, float) if key == "max_minutes" else (int,)
    if isinstance(limit, bool) or not isinstance(limit, kinds) or not 0 < limit < float("inf"):
        number = "number" if key == "max_minutes" else "whole number"
        raise MedsegError(f"{where}, budget: {key} is {limit!r}, expected a {number} of {BUDGETS[key]} above 0.")
    varied = {name for row in rows for name in row}
    # Rows of one budget may not differ in epochs either; of all rows at once, more epochs do no harm.
    for name, elsewhere in ((key, varied | set(base)), ("max_epochs", varied)):
        if name in elsewhere:
            place = "a row or the grid sets" if name in varied else "the parameters of all rows set"
            raise MedsegError(f"{where}: budget limits {key}, and {place} {name} as well. Keep one of the two.")
    if key == "max_epochs":
        return {key: limit}
    if key == "max_steps":
        return {key: limit, "max_epochs": limit}
    return {key: float(limit), "max_epochs": int(limit * _MOST_EPOCHS_PER_MINUTE) + 1}


def described(repeats: Sequence[Row], granted: Mapping[str, Any]) -> str:
    """Both in a few words for a plan, empty where there is neither: ``seeds 1, 2, 3; at most 90 steps each``."""
    seeds = [str(row["seed"]) for row in repeats if row]
    words = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"] if seeds else []
    key = next((key for key in BUDGETS if key in granted), "")
    words += [f"at most {granted[key]:g} {BUDGETS[key]} of training each"] if key else []
    return "; ".join(words)
