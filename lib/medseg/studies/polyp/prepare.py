"""Preparation of the polyp study: pictures and masks in, one prepared dataset out, split without leakage."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg import project
from medseg.datasets import audit, images, index
from medseg.datasets import foreground as masks
from medseg.datasets.folders import BadFile, Problem, check_source, entries, relative
from medseg.datasets.index import DatasetDraft, PreparedDataset
from medseg.errors import MedsegError
from medseg.names import listed
from medseg.studies.polyp import assign, grouping, protocols
from medseg.studies.polyp.layout import Centre, Pair

_EMPTY_NOTE = (
    "{count} frames without a finding were kept ({where}). Where truth is empty, a prediction of nothing is not scored "
    "and left out of means; any predicted pixel counts as a false positive, Dice 0."
)


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    protocol: str = "",
    hold_out: str = "",
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    sequences: str | Path = "",
    allow_empty: bool = False,
    foreground: Sequence[int] = (),
    drop_duplicates: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedDataset:
    """Read polyp frames with their masks, clean and check them, and write a prepared dataset.

    Pictures become 8-bit RGB PNG, masks 8-bit grey PNG with 0 and 255 (:func:`foreground.cleaned`). What cannot be used
    is left out and listed in ``rejected.csv`` with its reason. The same input gives the same bytes. Beside the columns
    of every index there are ``width_px``, ``height_px``, ``polyp_fraction`` (of the picture's area, 0 to
    1), ``mask_values`` (number of distinct values before cleaning), ``source_image`` and ``source_mask`` (relative to
    ``source``).

    Args:
        source: folder with pictures and masks, or with one subfolder per dataset; see ``data/README.md``.
        out: the prepared dataset; replaced as a whole, or left as it was.
        protocol: a built-in one, a protocol file, or empty; see :func:`protocols.plan`.
        hold_out: the set that is tested on while all others train; see :func:`protocols.plan`.
        validation_fraction: share of the training images to validate on, in (0, 1), taken by whole groups; used where
            the protocol says nothing of validation.
        test_fraction: share of all images to test on, in (0, 1), taken by whole groups; used where no folder, list or
            share of the protocol says what is tested on.
        seed: of the choice of groups.
        sequences: folder with a CSV file ``DATASET.csv`` (columns ``file,sequence``), such as ``ETIS.csv``, for each
            dataset whose own folder holds no ``sequences.csv``; empty for none.
        foreground: values of the masks, of grey or of a palette's indices, that are polyp; empty: what is above half of
            white, and of palettes with colours every index above 0. Used where the protocol does not say.
        allow_empty: keep masks without a polyp, else they are rejected; used where the protocol does not say.
        drop_duplicates: leave out pictures that look the same as one in another split, never those of a test set; see
            :func:`medseg.datasets.audit.find_duplicates`.
        progress: called with (images done, images in all).

    Raises:
        MedsegError: an unknown protocol or faults in its file, a missing or empty source, a dataset of the protocol
            that is not there or has no usable image, too few groups to divide, a split without an image, lists that
            tear a group, or a disk that refuses; nothing is written then.
    """
    source, out = project.resolve(source), project.resolve(out)
    check_source(source, out, _expected(protocol))
    if not entries(source):
        raise MedsegError(f"The source folder {project.display(source)} is empty. Expected {_expected(protocol)}.")
    plan = protocols.plan(source, protocol, hold_out)
    rules, centres = plan.rules, plan.centres
    keep_empty = allow_empty if rules.allow_empty is None else rules.allow_empty
    polyp = tuple(rules.foreground or foreground)
    masks.check(polyp)
    groupings = grouping.group(plan, sequences)
    listed, problems = assign.listed_splits(plan) if rules.files else ({}, [])

    def placed(rows: list[dict[str, Any]]) -> None:
        assign.place(rows, plan, listed, validation_fraction, test_fraction, seed)
        assign.refuse_torn(rows)

    read = {
        centre.name: {
            pair.name: _place(centre, pair, groupings[centre.name].group)
            for pair in centre.pairs
            if pair.name in groupings[centre.name].group and not assign.unread(plan, centre, pair.name, listed)
        }
        for centre in centres
    }
    placed([dict(row) for rows in read.values() for row in rows.values()])  # refuses here already, before the work
    done, total = itertools.count(1), sum(len(centre.pairs) for centre in centres)
    with index.writing(
        out,
        study="polyp",
        name=f"polyp-{plan.name}",
        protocol=plan.name,
        protocol_rules=rules.model_dump(exclude_unset=True, exclude={"notes", "expected"}),
        classes=["polyp"],
        channels=["red", "green", "blue"],
        source={c.name: {"folder": relative(c.folder, source), "layout": c.layout} for c in centres},
        grouping={name: found.method for name, found in groupings.items()},
        groups_guessed=[name for name, found in groupings.items() if found.guessed],
        cleaning=masks.rule(polyp),
        allow_empty=keep_empty,
        validation_fraction=rules.share("validation") or validation_fraction,
        seed=seed,
        notes=[*grouping.notes(plan, groupings), *assign.notes(plan), *rules.notes, *filter(None, [plan.chosen])],
        **({"folds": assign.number_of_folds(plan)} if rules.folds else {}),
    ) as draft:
        _reject(draft, [*plan.ignored, *problems], source)
        for centre in centres:
            before = len(draft.rows)
            _reject(draft, [*centre.problems, *groupings[centre.name].problems], source)
            for pair in centre.pairs:
                place = read[centre.name].get(pair.name)
                row = _convert(draft, centre.name, pair, source, keep_empty, polyp) if place else None
                if place and row:
                    draft.rows.append(row | place)
                if progress:
                    progress(next(done), total)
            if len(draft.rows) == before:
                raise _nothing_usable(centre, draft, source)
        placed(draft.rows)
        for row in draft.rows:
            del row["centre"]
        audit.find_duplicates(draft, drop_duplicates, lambda row: row["source_image"])
        draft.info["notes"] += [*_of_empty(draft.rows), *_of_classes(draft.info, polyp)]
    return index.load(out)


def _place(centre: Centre, pair: Pair, group: dict[str, str]) -> dict[str, Any]:
    """What decides the split of a frame, with the columns that :func:`assign.place` fills."""
    case = f"{centre.name}/{pair.name}"
    columns = {"case_id": case, "group": group[pair.name], "split": "", "fold": -1, "test_set": ""}
    return {**columns, "centre": centre.name}


def _expected(protocol: str) -> str:
    file = protocols.built_in().get(protocol)
    return (protocols.protocol_file.read(file).expected if file else "") or protocols.ANY


def _of_empty(rows: list[dict[str, Any]]) -> list[str]:
    empty = [row["split"] for row in rows if row["polyp_fraction"] == 0]
    where = ", ".join(f"{split} {empty.count(split)}" for split in index.SPLITS if split in empty)
    return [_EMPTY_NOTE.format(count=len(empty), where=where)] if empty else []


def _convert(
    draft: DatasetDraft, centre: str, pair: Pair, source: Path, allow_empty: bool, foreground: tuple[int, ...]
) -> dict[str, Any] | None:
    """Write one picture and its mask; None, and a line in the list of rejected files, where they cannot be used."""
    try:
        read = images.read_pair(pair.image, pair.mask)
        picture, values = read.picture, read.mask.values
        height, width = values.shape
        mask = masks.cleaned(read.mask, foreground)
        if not (allow_empty or mask.any()):
            raise BadFile(f"the mask is empty: its {_highest(values, foreground)}")
    except BadFile as error:
        draft.reject(relative(error.path or pair.mask, source), error.reason)
        return None
    for note in read.notes:
        draft.remark(note, relative(pair.image, source))
    if foreground or read.mask.kind == "index":
        counted = draft.info.setdefault("mask_classes", {})
        for value in masks.classes(read.mask):
            counted[str(value)] = counted.get(str(value), 0) + 1
    stem = f"{centre}/{pair.name}"
    draft.write_file(f"images/{stem}.png", images.encode_png(picture))
    draft.write_file(f"labels/{stem}.png", images.encode_png(mask))
    return {
        "case_id": stem,
        "image": f"images/{stem}.png",
        "label": f"labels/{stem}.png",
        "width_px": width,
        "height_px": height,
        "polyp_fraction": round(float(np.count_nonzero(mask)) / mask.size, 6),
        "mask_values": int(np.count_nonzero(np.bincount(values.ravel()))),
        "source_image": relative(pair.image, source),
        "source_mask": relative(pair.mask, source),
    }


def _highest(values: np.ndarray, foreground: tuple[int, ...]) -> str:
    return f"values are {listed(np.unique(values))}" if foreground else f"highest value is {values.max()}"


def _of_classes(info: dict[str, Any], foreground: tuple[int, ...]) -> list[str]:
    """Which values masks of classes hold, and which of them are polyp."""
    if not (counted := info.get("mask_classes")):
        return []
    held = ", ".join(f"{value} in {counted[value]}" for value in sorted(counted, key=int))
    polyp = f"{listed(foreground)} (foreground)" if foreground else f"every one above 0 but {masks.VOID}, which is void"
    return [f"Masks hold values of classes: {held} masks. Counted as polyp: {polyp}."]


def _nothing_usable(centre: Centre, draft: DatasetDraft, source: Path) -> MedsegError:
    inside = f"{relative(centre.folder, source)}/".removeprefix("./")
    reasons = [f"{entry['file']}: {entry['reason']}" for entry in draft.rejected if entry["file"].startswith(inside)]
    return MedsegError(
        f"None of the {len(centre.pairs)} images of {centre.name} in {project.display(centre.folder)} can be used "
        f"({'; '.join(reasons[:3])}{'; ...' if len(reasons) > 3 else ''}). Fix or replace the files and run again; "
        "nothing was written."
    )


def _reject(draft: DatasetDraft, problems: list[Problem], source: Path) -> None:
    for path, reason in problems:
        draft.reject(relative(path, source), reason)
