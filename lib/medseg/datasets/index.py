"""The prepared dataset: the one contract between preparation and the later stages.

A folder with ``dataset.json`` (what it is), ``index.csv`` (one row a picture), ``rejected.csv`` (what was left out and
why) and the files. Paths in the tables are relative to the folder.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from medseg import atomic, project
from medseg.errors import MedsegError
from medseg.names import listed

COLUMNS = ("case_id", "image", "label", "group", "split", "fold", "test_set")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedDataset:
    """A prepared dataset as read from its folder.

    ``info`` is ``dataset.json``: study, name, protocol, classes, channels, source, counts, rejected, fingerprint.
    ``index`` is ``index.csv``, one row a picture, at least the columns of :data:`COLUMNS`. ``group`` is the patient or
    video sequence, ``fold`` the cross-validation fold or -1, ``test_set`` is empty outside the test split.
    """

    folder: Path
    info: dict[str, Any]
    index: pd.DataFrame

    @property
    def fingerprint(self) -> str:
        """sha256 of the index and every file, 64 hex digits."""
        return self.info["fingerprint"]

    def split(self, name: str) -> pd.DataFrame:
        """Rows of one split (``train``, ``validation`` or ``test``), in the order of the index."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; there are {', '.join(SPLITS)}")
        return self.index[self.index["split"] == name].reset_index(drop=True)

    def path(self, relative: str) -> Path:
        """Absolute path of an entry of the columns ``image`` and ``label``."""
        return self.folder / relative


@dataclass
class DatasetDraft:
    """A dataset that is being written; see :func:`writing`."""

    folder: Path
    info: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def reject(self, file: str | Path, reason: str) -> None:
        """Note a source file that is left out; ``reason`` is for a person."""
        self.rejected.append({"file": str(file), "reason": reason})

    def remark(self, text: str, file: str | Path) -> None:
        """Note what was done to a source file that is kept; the report says it once for all files of one ``text``."""
        self.remarks.setdefault(text, []).append(str(file))

    def write_file(self, relative: str, data: bytes) -> None:
        """Put a file into the dataset."""
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@contextmanager
def writing(folder: str | Path, *, study: str, name: str, **info: Any) -> Iterator[DatasetDraft]:
    """Write a prepared dataset; it replaces ``folder`` only when the block ends well.

    The block fills ``draft.rows``, ``draft.rejected`` and files; the index is checked and counted, fingerprint taken
    and tables written here. Raises MedsegError: ``folder`` holds something else than a prepared dataset, no picture was
    accepted, a group is in two splits, a case is there twice, or the disk refused.
    """
    folder = project.resolve(folder)
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / "dataset.json").is_file():
        raise MedsegError(
            f"{project.display(folder)} exists and is not a prepared dataset; it would be replaced as a whole. "
            "Choose a new or an empty folder."
        )
    with atomic.replacing_folder(folder) as temporary:
        draft = DatasetDraft(temporary, {"study": study, "name": name, **info})
        yield draft
        if not draft.rows:
            reasons = "; ".join(f"{entry['file']}: {entry['reason']}" for entry in draft.rejected[:5])
            raise MedsegError(
                f"No usable sample for {project.display(folder)}: {len(draft.rejected)} file(s) were rejected"
                + (f" ({reasons}{'; ...' if len(draft.rejected) > 5 else ''})" if reasons else "")
                + ". Check the source folder and its layout; nothing was written."
            )
        index = pd.DataFrame(draft.rows)
        index = index[[*COLUMNS, *(column for column in index.columns if column not in COLUMNS)]]
        check_index(index)
        index.to_csv(temporary / "index.csv", index=False)
        pd.DataFrame(draft.rejected, columns=["file", "reason"]).to_csv(temporary / "rejected.csv", index=False)
        draft.info["counts"] = {
            "samples": len(index),
            **{split: int((index["split"] == split).sum()) for split in SPLITS},
            "test_sets": {k: int(v) for k, v in index[index["split"] == "test"].groupby("test_set").size().items()},
            "groups": int(index["group"].nunique()),
        }
        draft.info["rejected"] = len(draft.rejected)
        if draft.remarks:
            said = [f"{len(files)} of the files: {text} ({listed(files, 5)})." for text, files in draft.remarks.items()]
            draft.info["notes"] = [*draft.info.get("notes", []), *said]
        draft.info["fingerprint"] = _fingerprint(temporary, index)
        atomic.write_json(temporary / "dataset.json", draft.info)


def load(folder: str | Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises MedsegError: the folder is missing, is not a prepared dataset, lacks files, or its splits share a group.
    """
    folder = project.resolve(folder)
    described, table = folder / "dataset.json", folder / "index.csv"
    if not described.is_file() or not table.is_file():
        what = "exists but holds no dataset.json and index.csv" if folder.is_dir() else "does not exist"
        raise MedsegError(
            f"No prepared dataset at {project.display(folder)}: the folder {what}. Prepare your images with "
            "'medseg prepare STUDY --source FOLDER --out DATA', or make the built-in sample with 'medseg sample'."
        )
    try:
        info = json.loads(described.read_text("utf-8"))
        index = pd.read_csv(table, dtype={"case_id": str, "group": str, "test_set": str}, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise MedsegError(
            f"{project.display(folder)} cannot be read as a prepared dataset: {error}. Prepare it again."
        ) from error
    if "width_px" not in index and {"width", "height"} <= set(index):  # prepared before these had their unit
        index = index.rename(columns={"width": "width_px", "height": "height_px"})
    missing = [column for column in COLUMNS if column not in index.columns]
    missing += [key for key in ("study", "name", "fingerprint", "classes") if key not in info]
    if missing:
        raise MedsegError(f"{project.display(folder)} lacks {', '.join(missing)}. Prepare it again.")
    check_index(index)
    if lost := [p for column in ("image", "label") for p in index[column] if not (folder / p).is_file()]:
        raise MedsegError(
            f"{project.display(folder)} lacks {len(lost)} of its files, first {lost[0]}. Prepare it again."
        )
    return PreparedDataset(folder, info, index)


def check_index(index: pd.DataFrame) -> None:
    """Assert the promises of an index.

    Raises:
        MedsegError: an unknown split, a case twice within its test set, or a group (patient, sequence) in two splits.
    """
    if unknown := sorted(set(index["split"]) - set(SPLITS)):
        raise MedsegError(f"Unknown split {unknown[0]!r} in the index; expected {', '.join(SPLITS)}.")
    twice = index[index.duplicated("case_id")]
    if len(twice):
        raise MedsegError(f"The case {twice['case_id'].iloc[0]!r} is in the index more than once.")
    per_group = index.groupby("group")["split"].nunique()
    shared = per_group[per_group > 1]
    if len(shared):
        splits = sorted(set(index.loc[index["group"] == shared.index[0], "split"]))
        raise MedsegError(
            f"The group {shared.index[0]!r} is in the splits {' and '.join(splits)}: frames of one patient or video "
            "would be trained on and tested on. Split by group."
        )


def _fingerprint(folder: Path, index: pd.DataFrame) -> str:
    digest = hashlib.sha256((folder / "index.csv").read_bytes())
    for relative in pd.unique(index[["image", "label"]].to_numpy().ravel()):
        digest.update(hashlib.sha256((folder / relative).read_bytes()).digest())
    return digest.hexdigest()
