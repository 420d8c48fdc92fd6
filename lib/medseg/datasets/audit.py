"""What leaks from training into the tests of a prepared dataset: pictures that are there twice, guessed groups.

``dataset.json`` keeps ``duplicates``: near duplicates over splits, or over folds where there are any (``first`` and
``second``, their case ids, ``splits`` and ``distance`` of their hashes, bits of 64); ``identical``: lists of case ids
of pictures that are equal pixel for pixel within a split; ``groups_guessed``: sets whose groups are a guess.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from medseg.datasets import duplicates, frames
from medseg.datasets.duplicates import Look, Twins
from medseg.datasets.index import SPLITS, DatasetDraft, PreparedDataset
from medseg.errors import MedsegError
from medseg.names import listed

_NAMED = 5


class Finding(NamedTuple):
    """One row of an audit: what was looked at, how often it was found (None: not known), and which."""

    what: str
    times: int | None
    detail: str


def find_duplicates(
    draft: DatasetDraft, drop: bool = False, source_of: Callable[[Mapping[str, Any]], str] | None = None
) -> set[str]:
    """Compare all pictures of a draft whose rows have their splits; note what is twice in its ``info``.

    Args:
        drop: take twins out: of two the one in training, else the one in validation, never the one in a test set.
            Where there are folds, each of which is tested on in turn, and both are in training, the later one.
        source_of: the source file of a row, as it is to stand in ``rejected.csv``; None: its case id.

    Returns the case ids of the rows that were taken out, with their picture and label. Raises MedsegError: nothing is
    left of a split.
    """
    rows = draft.rows
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
        read = list(threads.map(lambda row: _read(draft, row), rows))
    found = duplicates.twins([one for one, _ in read], [(row["split"], row["fold"]) for row in rows])
    dropped = _drop(draft, found, source_of) if drop else set()
    pairs = [(rows[twins.first], rows[twins.second], twins.distance) for twins in found]
    kept = [pair for pair in pairs if not dropped & {pair[0]["case_id"], pair[1]["case_id"]}]
    draft.info["duplicates"] = [_entry(*pair) for pair in kept]
    digests: dict[tuple[str, str], list[str]] = {}
    for row, (_, digest) in zip(rows, read, strict=True):
        if row["case_id"] not in dropped:
            digests.setdefault((row["split"], digest), []).append(row["case_id"])
    draft.info["identical"] = [cases for cases in digests.values() if len(cases) > 1]
    draft.rows[:] = [row for row in rows if row["case_id"] not in dropped]
    _note(draft, dropped)
    return dropped


def over_splits(dataset: PreparedDataset) -> list[dict[str, Any]] | None:
    """The near duplicates over the splits as they are now, so also after :func:`medseg.datasets.splits.hold_out`.

    Entries as in ``dataset.json``; None where they were not looked for.
    """
    if "duplicates" not in dataset.info:
        return None
    split_of = dict(zip(dataset.index["case_id"], dataset.index["split"], strict=True))
    now = [{**e, "splits": [split_of[e["first"]], split_of[e["second"]]]} for e in dataset.info["duplicates"]]
    return [entry for entry in now if len(set(entry["splits"])) == 2]


def record(dataset: PreparedDataset) -> dict[str, Any]:
    """What a run keeps of the audit, small: ``near_duplicates`` (number of pairs by ``SPLIT and SPLIT``) and
    ``groups_guessed`` (names of sets); None where that is not known.
    """
    pairs = over_splits(dataset)
    counts = None if pairs is None else dict(Counter(" and ".join(_in_order(e["splits"])) for e in pairs))
    return {"near_duplicates": counts, "groups_guessed": dataset.info.get("groups_guessed")}


def leakage(dataset: PreparedDataset) -> list[Finding]:
    """What may leak from training into the tests, a row a way."""
    spread = dataset.index.groupby("group")["split"].nunique()
    shared = spread[spread > 1]
    guessed, pairs, same = dataset.info.get("groups_guessed"), over_splits(dataset), dataset.info.get("identical")
    unknown = "not looked for: prepare the dataset again"
    named = None if pairs is None else [f"{e['first']} and {e['second']} ({', '.join(e['splits'])})" for e in pairs]
    alike = None if same is None else [" = ".join(cases) for cases in same]
    return [
        Finding("groups in two splits", len(shared), listed(shared.index, _NAMED)),
        Finding(
            "sets whose groups are a guess",
            None if guessed is None else len(guessed),
            "not known: prepare the dataset again" if guessed is None else listed(guessed, _NAMED),
        ),
        Finding("near duplicates over splits", *_counted(named, unknown)),
        Finding("equal pictures within a split", *_counted(alike, unknown)),
    ]


def _counted(names: list[str] | None, unknown: str) -> tuple[int | None, str]:
    return (None, unknown) if names is None else (len(names), listed(names, _NAMED))


def _read(draft: DatasetDraft, row: Mapping[str, Any]) -> tuple[Look, str]:
    grey = frames.read_grey(draft.folder / row["image"])
    return duplicates.look(grey), hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()


def _drop(draft: DatasetDraft, found: list[Twins], source_of: Callable[[Mapping[str, Any]], str] | None) -> set[str]:
    dropped: set[str] = set()
    for twins in found:
        kept, lost = sorted((draft.rows[twins.first], draft.rows[twins.second]), key=_worth, reverse=True)
        if kept["case_id"] not in dropped and lost["case_id"] not in dropped:
            dropped.add(lost["case_id"])
            reason = f"looks the same as {kept['case_id']} ({kept['split']}); left out of {lost['split']}"
            draft.reject(source_of(lost) if source_of else lost["case_id"], reason)
            for file in (lost["image"], lost["label"]):
                (draft.folder / file).unlink()
    left = {row["split"] for row in draft.rows if row["case_id"] not in dropped}
    if gone := [split for split in SPLITS if split not in left and any(row["split"] == split for row in draft.rows)]:
        raise MedsegError(
            f"Every picture of {listed(gone)} looks the same as one of another split, and drop_duplicates leaves it "
            "out: nothing is left. Give these splits other pictures."
        )
    return dropped


def _worth(row: Mapping[str, Any]) -> int:
    return SPLITS.index(row["split"])


def _in_order(splits: list[str]) -> list[str]:
    return sorted(splits, key=SPLITS.index)


def _entry(first: Mapping[str, Any], second: Mapping[str, Any], distance: int) -> dict[str, Any]:
    splits = [first["split"], second["split"]]
    return {"first": first["case_id"], "second": second["case_id"], "splits": splits, "distance": distance}


def _note(draft: DatasetDraft, dropped: set[str]) -> None:
    notes = draft.info.setdefault("notes", [])
    if pairs := draft.info["duplicates"]:
        named = listed((f"{e['first']} and {e['second']} ({', '.join(e['splits'])})" for e in pairs), _NAMED)
        notes.append(
            f"{len(pairs)} pair{'s' if pairs[1:] else ''} of pictures in different splits or folds look the same: "
            f"{named}. Scores on what was trained on flatter; drop_duplicates leaves the twins out. dataset.json lists "
            "all."
        )
    if dropped:
        notes.append(f"{len(dropped)} pictures were left out, as they look the same as one in another split or fold.")
