"""Preparation of the polyp study: public datasets in, one prepared dataset out, split without leakage."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg import project
from medseg.datasets import images, index, splits
from medseg.datasets.folders import BadFile, Problem, check_source, entries, relative
from medseg.datasets.index import DatasetDraft, PreparedDataset
from medseg.errors import MedsegError
from medseg.studies.polyp import protocols, sequences
from medseg.studies.polyp.layout import Centre, Pair
from medseg.studies.polyp.protocols import TRAIN_DATASET

_GUESS_NOTE = (
    "The videos of {centres} are not known, so frames were grouped by their numbers: neighbours may lie in two groups, "
    "and where that is the training set its validation scores may flatter. A sequences.csv (columns file,sequence) "
    "in the dataset's folder fixes that."
)
_PRANET_NOTE = (
    "By this protocol's own making, test frames of ClinicDB come from videos that are in TrainDataset too, and the "
    "patients of Kvasir are not known: both test sets flatter. CVC-300, ColonDB and ETIS come from other videos."
)


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    protocol: str = "colondb",
    validation_fraction: float = 0.2,
    seed: int = 0,
    sequences: str | Path = "",
    allow_empty: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedDataset:
    """Read public polyp datasets, clean and check them, and write a prepared dataset.

    Pictures become 8-bit RGB PNG, masks 8-bit grey PNG with 0 and 255 (:data:`images.CLEANING_RULE`). What cannot be
    used is left out and listed in ``rejected.csv`` with its reason. The same input gives the same bytes. Beside the
    columns of every index there are ``width_px``, ``height_px``, ``polyp_fraction`` (of the picture's area, 0 to
    1), ``mask_values`` (number of distinct values before cleaning), ``source_image`` and ``source_mask`` (relative to
    ``source``).

    Args:
        source: folder with one subfolder per dataset; see ``data/README.md`` for the layouts.
        out: the prepared dataset; replaced as a whole, or left as it was.
        protocol: a key of :data:`protocols.PROTOCOLS`.
        validation_fraction: share of the training images to validate on, in (0, 1), taken by whole groups.
        seed: of the choice of validation groups.
        sequences: folder with a CSV file ``DATASET.csv`` (columns ``file,sequence``), such as ``ETIS.csv``, for each
            dataset whose own folder holds no ``sequences.csv``; empty for none.
        allow_empty: keep masks without a polyp; else they are rejected, as every public frame shows a polyp.
        progress: called with (images done, images in all).

    Raises:
        MedsegError: an unknown protocol, a missing or empty source, a dataset of the protocol that is not there or
            has no usable image, no second group to validate on, or a disk that refuses; nothing is written then.
    """
    source, out = project.resolve(source), project.resolve(out)
    chosen = protocols.named(protocol)
    check_source(source, out, chosen.layout)
    if not entries(source):
        raise MedsegError(f"The source folder {project.display(source)} is empty. Expected {chosen.layout}.")
    centres, ignored = protocols.find_centres(source, chosen)
    groupings = _group(centres, _tables(sequences), clinicdb_numbers=protocol == "pranet")
    guessed = [name for name, grouping in groupings.items() if grouping.guessed]
    notes = [_GUESS_NOTE.format(centres=", ".join(guessed))] if guessed else []
    if groups := [*groupings[chosen.train].group.values()]:
        splits.split_groups(groups, validation_fraction, seed)  # refuses here already, before the work
    done, total = itertools.count(1), sum(len(centre.pairs) for centre in centres)
    with index.writing(
        out,
        study="polyp",
        name=f"polyp-{protocol}",
        protocol=protocol,
        classes=["polyp"],
        channels=["red", "green", "blue"],
        source={c.name: {"folder": relative(c.folder, source), "layout": c.layout} for c in centres},
        grouping={name: grouping.method for name, grouping in groupings.items()},
        cleaning=images.CLEANING_RULE,
        allow_empty=allow_empty,
        validation_fraction=validation_fraction,
        seed=seed,
        notes=notes + ([_PRANET_NOTE] if protocol == "pranet" else []),
    ) as draft:
        _reject(draft, ignored, source)
        for centre in centres:
            split, test_set = ("train", "") if centre.name == chosen.train else ("test", centre.name)
            grouping, before = groupings[centre.name], len(draft.rows)
            _reject(draft, [*centre.problems, *grouping.problems], source)
            for pair in centre.pairs:
                row = _convert(draft, centre.name, pair, source, allow_empty) if pair.name in grouping.group else None
                if row:
                    place = {"group": grouping.group[pair.name], "split": split, "fold": -1, "test_set": test_set}
                    draft.rows.append(row | place)
                if progress:
                    progress(next(done), total)
            if len(draft.rows) == before:
                raise _nothing_usable(centre, draft, source)
        training = [row for row in draft.rows if row["split"] == "train"]
        validation = splits.split_groups([row["group"] for row in training], validation_fraction, seed)
        for row in training:
            row["split"] = "validation" if row["group"] in validation else "train"
    return index.load(out)


def _group(
    centres: list[Centre], tables: Mapping[str, Path], *, clinicdb_numbers: bool
) -> dict[str, sequences.Grouping]:
    names = [centre.name for centre in centres]
    if unknown := sorted(set(tables) - set(names)):
        raise MedsegError(f"Sequences are given for {unknown[0]!r}; this protocol reads {', '.join(names)}.")
    known = (TRAIN_DATASET, "ClinicDB") if clinicdb_numbers else ()
    return {
        c.name: sequences.group_frames(c, c.table or tables.get(c.name), clinicdb_numbers=c.name in known)
        for c in centres
    }


def _tables(folder: str | Path) -> dict[str, Path]:
    if not folder:
        return {}
    folder = project.resolve(folder)
    tables = {entry.stem: entry for entry in entries(folder) if entry.suffix.casefold() == ".csv"}
    if not tables:
        raise MedsegError(f"{project.display(folder)} holds no CSV file; expected DATASET.csv, such as ETIS.csv.")
    return tables


def _convert(draft: DatasetDraft, centre: str, pair: Pair, source: Path, allow_empty: bool) -> dict[str, Any] | None:
    """Write one picture and its mask; None, and a line in the list of rejected files, where they cannot be used."""
    at_fault = pair.image
    try:
        picture = images.read_picture(pair.image)
        at_fault = pair.mask
        values = images.read_mask(pair.mask)
        height, width = picture.shape[:2]
        if values.shape != (height, width):
            raise BadFile(f"the mask is {values.shape[1]} x {values.shape[0]} pixels, its image {width} x {height}")
        mask = images.clean_mask(values)
        if not (allow_empty or mask.any()):
            raise BadFile(f"the mask is empty: its highest value is {values.max()}")
    except BadFile as error:
        draft.reject(relative(at_fault, source), str(error))
        return None
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


def _nothing_usable(centre: Centre, draft: DatasetDraft, source: Path) -> MedsegError:
    inside = f"{relative(centre.folder, source)}/"
    reasons = [f"{entry['file']}: {entry['reason']}" for entry in draft.rejected if entry["file"].startswith(inside)]
    return MedsegError(
        f"None of the {len(centre.pairs)} images of {centre.name} in {project.display(centre.folder)} can be used "
        f"({'; '.join(reasons[:3])}{'; ...' if len(reasons) > 3 else ''}). Fix or replace the files and run again; "
        "nothing was written."
    )


def _reject(draft: DatasetDraft, problems: list[Problem], source: Path) -> None:
    for path, reason in problems:
        draft.reject(relative(path, source), reason)
