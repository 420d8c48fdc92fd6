"""Which split every frame belongs to: by its folder, a share, folds, or lists of files; never tearing a group."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets import splits
from medseg.datasets.folders import Problem, composed
from medseg.datasets.index import SPLITS
from medseg.datasets.texts import decoded, file_bytes
from medseg.errors import MedsegError
from medseg.names import listed
from medseg.studies.polyp.layout import Centre
from medseg.studies.polyp.protocol_file import FOLDERS
from medseg.studies.polyp.protocols import Plan


def listed_splits(plan: Plan) -> tuple[dict[str, str], list[Problem]]:
    """Split of every case (``SET/NAME``) that the lists of the protocol name, and what they leave out or add.

    A line is ``NAME`` or ``SET/NAME``, with or without extension. Raises MedsegError: a list that cannot be read, a
    name in two lists, or one that several sets have.
    """
    ids: dict[str, set[str]] = {}
    training = [centre for centre in plan.centres if plan.role[centre.name] == "train"]
    for centre in training:
        for pair in centre.pairs:
            for name in {pair.name, composed(pair.image.name)}:
                for text in (name, f"{centre.name}/{name}", f"{centre.folder.name}/{name}"):
                    ids.setdefault(text, set()).add(f"{centre.name}/{pair.name}")
    split_of: dict[str, str] = {}
    problems: list[Problem] = []
    for split, given in plan.rules.files.items():
        for line in _lines(plan.folder, given):
            found = sorted(ids.get(composed(line), ()))
            if len(found) > 1:
                raise MedsegError(f"files, {split}: {line!r} may be {' or '.join(found)}. Write it in full.")
            if not found:
                problems.append((Path(line), f"the list of files for {split} names it, but it is not there"))
            elif split_of.setdefault(found[0], split) != split:
                raise MedsegError(f"files: {line!r} is in the lists for {split_of[found[0]]} and for {split}.")
    for centre in training:
        for pair in centre.pairs:
            if f"{centre.name}/{pair.name}" not in split_of:
                problems.append((pair.image, "no list of files names it"))
    return split_of, problems


def place(
    rows: list[dict[str, Any]], plan: Plan, split_of: Mapping[str, str], validation: float, test: float, seed: int
) -> None:
    """Set ``split``, ``fold`` and ``test_set`` of rows that have ``case_id``, ``group`` and ``centre``.

    ``split_of`` is that of :func:`listed_splits`; ``validation`` and ``test`` are the shares in (0, 1) for what neither
    a folder nor a list nor the protocol decides; ``test`` of all training frames, ``validation`` of those then left.

    Raises:
        MedsegError: too few groups to divide, or a split without a frame.
    """
    rules = plan.rules
    for row in rows:
        row["split"], row["fold"] = split_of.get(row["case_id"], plan.role[row["centre"]]), -1
    if rules.folds:
        folds = _folds(rows, plan, seed)
        for row, fold in zip(rows, folds, strict=True):
            row["fold"] = fold
            row["split"], row["test_set"] = splits.fold_split(fold, rules.test_fold, number_of_folds(plan))
    else:
        if "test" not in {*plan.role.values(), *rules.files}:
            _draw(rows, "test", rules.share("test") or test, seed)
        if "validation" not in {*plan.role.values(), *rules.files}:
            _draw(rows, "validation", rules.share("validation") or validation, seed)
        for row in rows:
            row["test_set"] = row["centre"] if row["split"] == "test" else ""
    counts = {split: sum(row["split"] == split for row in rows) for split in SPLITS}
    if empty := [split for split in SPLITS if not counts[split]]:
        others = ", ".join(f"{split} {count}" for split, count in counts.items() if count)
        raise MedsegError(
            f"The protocol {plan.name!r} leaves {' and '.join(empty)} without a frame (others: {others or 'none'}). "
            "Give it a folder, a list or a share."
        )


def number_of_folds(plan: Plan) -> int:
    """Of a cross-validation: as the protocol says, or one a set; 0 where there is none."""
    return len(plan.centres) if plan.rules.folds == FOLDERS else int(plan.rules.folds or 0)


def _folds(rows: list[dict[str, Any]], plan: Plan, seed: int) -> list[int]:
    folds, sets = number_of_folds(plan), [centre.name for centre in plan.centres]
    if plan.rules.folds != FOLDERS:
        return splits.group_folds([row["group"] for row in rows], folds, seed)
    if not plan.rules.test_fold + 1 <= folds >= 3:
        raise MedsegError(
            f"folds: {FOLDERS} makes a fold of each set; the protocol {plan.name!r} has {folds} ({listed(sets)}). "
            "At least 3 are needed, to train, to validate and to test on, and a test_fold below their number."
        )
    return [sets.index(row["centre"]) for row in rows]


def _draw(rows: list[dict[str, Any]], split: str, share: float, seed: int) -> None:
    training = [row for row in rows if row["split"] == "train"]
    chosen = splits.split_groups([row["group"] for row in training], share, seed)
    for row in training:
        row["split"] = split if row["group"] in chosen else "train"


def notes(plan: Plan) -> list[str]:
    """Sentences for the report: which set each fold is."""
    if plan.rules.folds != FOLDERS:
        return []
    named = ", ".join(f"{fold} {centre.name}" for fold, centre in enumerate(plan.centres))
    return [f"Each set is a fold: {named}. Tested on is one that nothing was trained or chosen by."]


def refuse_torn(rows: Iterable[Mapping[str, Any]]) -> None:
    """MedsegError where lists of files put frames of one patient or video into two splits."""
    splits_of: dict[str, set[str]] = {}
    for row in rows:
        splits_of.setdefault(row["group"], set()).add(row["split"])
    if torn := [group for group, found in splits_of.items() if len(found) > 1]:
        raise MedsegError(
            f"The lists of files put frames of one patient or video into several splits: {listed(torn, 5)}. Move them "
            "into one list; sequences: none takes every frame for one of its own."
        )


def _lines(folder: Path, given: str | list[str]) -> list[str]:
    if isinstance(given, str):
        file = folder / Path(given).expanduser()
        text = decoded(file_bytes(file, f"The list of files {project.display(file)}"))
        given = text.splitlines()
    return [line for line in map(str.strip, given) if line]


def unread(plan: Plan, centre: Centre, name: str, split_of: Mapping[str, str]) -> bool:
    """Whether the lists of files leave this frame of a training set out."""
    training = plan.role[centre.name] == "train"
    return bool(plan.rules.files) and training and f"{centre.name}/{name}" not in split_of
