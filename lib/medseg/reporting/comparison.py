"""Which runs may stand beside each other, what they are called, and which differ in seed and fold alone."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from medseg import registry
from medseg.errors import MedsegError
from medseg.experiments.identity import (
    NOT_PART_OF_THE_QUESTION,
    as_before,
    fold_of,
    readable_weights,
    without_effect,
)
from medseg.experiments.runs import Run
from medseg.reporting.alignment import aligned
from medseg.reporting.configuration import Configuration, shared_cases

#: Parameters that name a run by their value alone, in this order; the others follow with their own name.
_NAMES = ("architecture", "backbone")
_DECAYED = re.compile(r"(?P<name>\w+)\(weight_decay=(?P<decay>[\d.]+(?:e-?\d+)?)\)")
_MANY = 4  # varying parameters that a label can hold
#: Configurations that a picture, or a table before its rows are folded, has room for.
MOST = 20


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs over the same data.

    Attributes:
        configurations: in the order of the given runs; of more than :data:`MOST` that are scored, the best first. Their
            cases are aligned; see :func:`medseg.reporting.alignment.aligned`.
        constant: parameters that are the same in all runs that have them, without those that do nothing in any.
        left_out: run id and reason of every given run that is not compared.
    """

    configurations: tuple[Configuration, ...]
    constant: dict[str, Any]
    left_out: tuple[tuple[str, str], ...]

    @property
    def runs(self) -> list[Run]:
        """Every compared run."""
        return [run for c in self.configurations for run in c.runs]

    @property
    def records(self) -> list[dict[str, Any]]:
        """``run.json`` of every compared run."""
        return [record for c in self.configurations for record in c.records]

    @property
    def dataset(self) -> dict[str, Any]:
        """The data that all compared runs share, as their records describe it."""
        return self.records[0]["dataset"]

    @cached_property
    def best(self) -> "Comparison":
        """With the first :data:`MOST` configurations alone; itself where they are no more."""
        few = len(self.configurations) <= MOST
        return self if few else replace(self, configurations=self.configurations[:MOST])

    @property
    def cut(self) -> str:
        """End of a caption of what shows :attr:`best` alone; empty where that is all."""
        of = len(self.configurations)
        return f" The best {len(self.best.configurations)} of {of} configurations." if of > MOST else ""

    @cached_property
    def shared(self) -> tuple[Configuration, ...]:
        """The configurations with the cases that all of them have; see :func:`shared_cases`."""
        return shared_cases(self.configurations)

    @property
    def trained(self) -> "Comparison":
        """Without what was brought: maybe without any configuration."""
        return replace(self, configurations=tuple(c for c in self.configurations if not c.brought))

    @property
    def folds(self) -> list[int]:
        """The folds that were held out, where there are several; else []."""
        return sorted({fold for c in self.configurations for fold in c.folds})

    @cached_property
    def test_sets(self) -> list[str]:
        """Names of the test sets, in the order in which they were scored."""
        found = (t["test_set"].unique() for c in self.configurations for t in c.cases)
        return list(dict.fromkeys(name for names in found for name in names))


def compare(runs: Iterable[Run], *, scored: bool = True) -> Comparison:
    """Put runs over the same data side by side: the data that most of them used, of those trained here if there are.

    Runs that differ in seed or fold alone are one configuration.

    Args:
        runs: any runs; those that cannot be compared are named in ``left_out`` with the reason.
        scored: take only runs whose test cases were scored; False: every run that has a history.

    Raises:
        MedsegError: no run is left to compare; the message names each given run and its reason.
    """
    usable, left_out = [], []
    for run in runs:
        if reason := _unusable(run, scored):
            left_out.append((run.id, reason))
        else:
            usable.append((run, run.record))
    trained = [record for _, record in usable if "brought" not in record] or [record for _, record in usable]
    compared, most = [], Counter(map(_fingerprint, trained)).most_common(1)
    for run, record in usable:
        if _fingerprint(record) == most[0][0]:
            compared.append((run, record))
        else:
            name = record.get("dataset", {}).get("name")
            left_out.append((run.id, f"other data: {name} ({_fingerprint(record)[:8]})"))
    if not compared:
        found = "".join(f"\n  - {name}: {reason}" for name, reason in left_out) or " no run was given."
        raise MedsegError(f"There is no run to compare:{found}\nRun a sweep first: 'medseg sweep FILE'.")
    folds = sorted({fold for _, record in compared if (fold := fold_of(record)) is not None})
    apart = ("seed", "fold") if len(folds) > 1 else ("seed",)
    if "fold" in apart:  # its cases are those of one split, and no mean over all folds
        unfolded = [run for run, record in compared if "brought" in record and fold_of(record) is None]
        left_out += [
            (run.id, "brought without a fold beside runs over folds: score it with --fold") for run in unfolded
        ]
        compared = [(run, record) for run, record in compared if run not in unfolded]
    questions = [_question(record, apart) for _, record in compared]
    keys = list(dict.fromkeys(key for question in questions for key in question))
    # Notebooks have parameters of their own: one that only some runs have varies if it differs among those.
    stated = {key: [question[key] for question in questions if key in question] for key in keys}
    varying = [key for key in keys if any(value != stated[key][0] for value in stated[key])]
    grouped: dict[str, list[Run]] = {}
    for (run, _), question in zip(compared, questions, strict=True):
        grouped.setdefault(repr([question.get(key) for key in varying]), []).append(run)
    # What is usual is so in trainings; else "brought" were left out as usual, where many methods are brought.
    trainings = [q for q, (_, record) in zip(questions, compared, strict=True) if "brought" not in record]
    usual = {}
    for key in varying:
        values = [repr(question[key]) for question in trainings if key in question] or list(map(repr, stated[key]))
        usual[key] = Counter(values).most_common(1)[0][0]
    configurations = []
    asked = [_question(members[0].record, apart) for members in grouped.values()]
    described = [_describe(_telling(question), varying, usual) for question in asked]
    if len(set(described)) < len(described):  # runs that differ in what does nothing alone still want a name each
        described = [_describe(question, varying, usual) for question in asked]
    for number, (members, (name, details)) in enumerate(zip(grouped.values(), described, strict=True)):
        members.sort(key=_by_seed_and_fold)
        pairs = [(run.record.get("seed"), fold_of(run.record)) for run in members]
        own = tuple(fold for fold in folds if fold in {held for _, held in pairs}) if "fold" in apart else ()
        wanted = [(seed, fold) for seed in dict.fromkeys(seed for seed, _ in pairs) for fold in folds if own]
        lacking = tuple(pair for pair in wanted if pair not in pairs)
        configurations.append(Configuration(name, details, number, tuple(members), own, lacking))
    if scored:
        configurations = list(aligned(configurations))
        configurations = _best_first(configurations) if len(configurations) > MOST else configurations
    telling = {key for question in questions for key in _telling(question)}
    constant = {key: stated[key][0] for key in keys if key in telling and key not in varying and key != "stage"}
    usually = [as_before(record.get("parameters", {})) for _, record in compared if "brought" not in record]
    constant = {
        key: value
        for key, value in constant.items()
        if not usually or any(key not in before or value != before[key] for before in usually)
    }
    return Comparison(tuple(configurations), constant, tuple(left_out))


def readable(value: Any) -> str:
    """A parameter's value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return " + ".join(readable(entry) for entry in value) or "none"
    return "none" if value in (None, "") else str(value)


def last_words(record: Mapping[str, Any], otherwise: str) -> str:
    """Last line of what a run failed of."""
    return (str(record.get("error") or "").strip().splitlines() or [otherwise])[-1]


def _best_first(configurations: Sequence[Configuration]) -> list[Configuration]:
    """In the order of their mean rank by mean Dice over the test sets, numbered anew."""
    means = pd.DataFrame({c.number: pd.concat(c.cases).groupby("test_set")["dice"].mean() for c in configurations})
    rank = means.rank(axis=1, ascending=False, na_option="bottom").mean()
    ordered = sorted(configurations, key=lambda c: rank[c.number])
    return [c.placed(number) for number, c in enumerate(ordered)]


def _unusable(run: Run, scored: bool) -> str:
    if run.fault:
        return run.fault
    record, status = run.record, run.status
    if status == "failed":
        return f"failed: {last_words(record, 'no message')}"
    brought = record.get("brought", {})
    if brought.get("cases") != brought.get("of"):
        return f"brought with {brought['cases']} of {brought['of']} cases: a mean over other cases is no comparison"
    if not brought and not (run.folder / "history.csv").is_file():
        return f"{status}, no epoch finished yet"
    if scored and not run.evaluated:
        return f"{status}, not evaluated yet"
    try:  # rows that were lost must not make another mean
        if not brought:
            run.check("history.csv")
        if scored:
            run.check("cases.csv")
    except MedsegError as error:
        return str(error)
    return ""


def _fingerprint(record: Mapping[str, Any]) -> str:
    return str(record.get("dataset", {}).get("fingerprint"))


def _by_seed_and_fold(run: Run) -> tuple[bool, int, int, str]:
    seed, fold = run.record.get("seed"), fold_of(run.record)
    return seed is None, seed or 0, fold or 0, run.id


def _question(record: Mapping[str, Any], apart: Sequence[str]) -> dict[str, Any]:
    """What a run answers, without the parameters ``apart``, in which runs of one configuration may differ."""
    parameters = record.get("parameters", {})
    asked = {k: v for k, v in parameters.items() if k not in apart and k not in NOT_PART_OF_THE_QUESTION}
    if decayed := _DECAYED.fullmatch(str(asked.get("optimizer", ""))):  # Keras has no parameter for it
        asked |= {"optimizer": decayed["name"], "weight_decay": float(decayed["decay"])}
    weights = {name: text for name, text in readable_weights(record).items() if name in asked}
    before = {} if record.get("brought") else as_before(parameters)  # nothing is known of how it was trained
    return {**before, **asked, **weights, "stage": _notebook(record)}


def _telling(question: Mapping[str, Any]) -> dict[str, Any]:
    """Without the parameters that do nothing."""
    idle = without_effect(question)
    return {key: value for key, value in question.items() if key not in idle}


def _notebook(record: Mapping[str, Any]) -> Any:
    """The training notebook as a reader knows it: by its framework, where the study has only one notebook in that."""
    stage = record.get("stage")
    if record.get("study") not in registry.names():
        return stage
    trainings = registry.find(record["study"]).trainings
    named = [training.framework for training in trainings if training.stage == stage]
    unique = len(named) == 1 and sum(training.framework == named[0] for training in trainings) == 1
    return named[0] if unique else stage


def _describe(question: Mapping[str, Any], varying: list[str], usual: Mapping[str, str]) -> tuple[str, str]:
    """Name and details of a configuration, from the parameters that vary.

    Where many vary, one at a time as a rule, model and backbone are told, and of the others those that are not as
    ``usual`` (by their repr).
    """
    if len(varying) > _MANY:
        varying = [k for k in varying if k in _NAMES or (k in question and repr(question[k]) != usual[k])]
        if not varying:
            return "the rest as usual", ""
    chosen = [key for key in _NAMES if key in varying or not varying]
    name = [readable(question[key]) for key in chosen if question.get(key) not in (None, "", "none")]
    flags = [key for key in varying if isinstance(question.get(key), bool)]
    details: list[str] = []
    for key in varying:
        if key in chosen or key in flags or key not in question:  # a parameter of another notebook says nothing here
            continue
        value = readable(question[key])
        plain = {"resolution": f"{value} px", "stage": value}
        details.append(plain.get(key, f"{key.replace('_', ' ')} {value}"))
    details += [f"+ {key.replace('_', ' ')}" for key in flags if question.get(key)]
    if flags and not any(question.get(key) for key in flags):
        details.append("without " + ", ".join(key.replace("_", " ") for key in flags))
    if not name:
        return (details or ["run"])[0], ", ".join(details[1:])
    return " ".join(name), ", ".join(details)
