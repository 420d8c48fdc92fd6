"""Protocol files: which folders train, validate and test, and which frames belong together. Read whole, then used."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medseg import project
from medseg.datasets.index import SPLITS
from medseg.datasets.texts import read_keys
from medseg.errors import MedsegError
from medseg.experiments.params import unknown_key

NO_SEQUENCES = "none"
FOLDERS = "folders"
_UNFIT = re.compile(r'[\\/:*?"<>|\x00-\x1f]|^\.|[. ]$')


def _folders(value: Any) -> dict[str, str]:
    """Shown name to folder, of a folder, a list of folders, or such a mapping."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(folder, str) for folder in value):
        names = [folder.rstrip("/").rpartition("/")[2] for folder in value]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"two folders would be shown as {twice[0]!r}; write {{SHOWN NAME: FOLDER, ...}}")
        value = dict(zip(names, value, strict=True))
    texts = [text for pair in value.items() for text in pair] if isinstance(value, dict) else [None]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("expected a folder, a list of folders, or {SHOWN NAME: FOLDER, ...}")
    if unfit := [name for name in value if name != "." and _UNFIT.search(name)]:
        raise ValueError(f"{unfit[0]!r} cannot name a set: it has a character that is not allowed in file names")
    if outside := [folder for folder in value.values() if Path(folder).is_absolute() or ".." in Path(folder).parts]:
        raise ValueError(f"{outside[0]!r} does not lie in the source folder; give folders relative to it")
    return value


def _folders_or_share(value: Any) -> dict[str, str] | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _folders(value)
    if not 0 < value < 1:
        raise ValueError("expected a share between 0 and 1, such as 0.2, or folders")
    return float(value)


def _pattern(value: Any) -> str:
    try:
        if isinstance(value, str) and re.compile(value).groups == 1:
            return value
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    raise ValueError("expected a regular expression with one group in parentheses, such as '^(.+)_[0-9]+$'")


def _lists(value: Any) -> dict[str, str | list[str]]:
    if not isinstance(value, dict) or not value or set(value) - set(SPLITS):
        raise ValueError(f"expected some of the keys {', '.join(SPLITS)}")
    for listed in value.values():
        if not (isinstance(listed, str) or (isinstance(listed, list) and all(isinstance(n, str) for n in listed))):
            raise ValueError("expected for each split a list of names in quotes, or a text file with a name per line")
    return value


def _folds(value: Any) -> int | str:
    if value == FOLDERS or (type(value) is int and value >= 3):
        return value
    raise ValueError(f"expected a whole number from 3, or {FOLDERS}: a fold for each set")


Share = Annotated[dict[str, str] | float, BeforeValidator(_folders_or_share)]


class Protocol(BaseModel):
    """A protocol as its file says it; what is left out has the meaning of the defaults.

    Folders are relative to the source folder, by the names that cases and test sets bear. ``train``: empty for every
    folder with pictures and masks. ``test`` and ``validation``: folders, or a share in (0, 1) of the training frames;
    None leaves the share to the parameters of the preparation. ``groups``: regular expression, searched in the name
    without extension; its group names the patient or video. ``sequences``: CSV file, ``none`` where every frame stands
    alone, or empty. ``files``: names per split, or a text file of them. ``folds``: cross-validation, of which
    ``test_fold`` is tested on; ``folders`` for a fold a set. ``hold_out``: the training folder that becomes the test
    set. ``foreground``: values of the masks that are polyp. ``clinicdb_numbers``: sets whose numbers are those of
    CVC-ClinicDB's frames. ``expected``: the layout, in words.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    train: Annotated[dict[str, str], BeforeValidator(_folders)] = Field(default_factory=dict)
    test: Share | None = None
    validation: Share | None = None
    groups: Annotated[str, BeforeValidator(_pattern)] | None = None
    sequences: str = ""
    files: Annotated[dict[str, str | list[str]], BeforeValidator(_lists)] = Field(default_factory=dict)
    folds: Annotated[int | str, BeforeValidator(_folds)] | None = None
    test_fold: Annotated[int, Field(ge=0)] = 0
    hold_out: str = ""
    allow_empty: bool | None = None
    foreground: list[Annotated[int, Field(ge=1, le=255)]] = Field(default_factory=list)
    clinicdb_numbers: list[str] = Field(default_factory=list)
    expected: str = ""
    notes: list[str] = Field(default_factory=list)

    def folders(self, split: str) -> dict[str, str]:
        """Shown name to folder of one split; empty where it is a share, or none."""
        value = getattr(self, split)
        return value if isinstance(value, dict) else {}

    def share(self, split: str) -> float | None:
        """The share of the training frames that is to be one split, or None."""
        value = getattr(self, split)
        return value if isinstance(value, float) else None


def read(file: Path) -> Protocol:
    """Read a protocol file.

    A MedsegError names the file and every fault: not YAML, an unknown key and the nearest one, a wrong type, a folder
    in two splits, keys that contradict one another.
    """
    return checked(read_keys(file, "train and test"), project.display(file))


def checked(raw: Mapping[str, Any], where: str) -> Protocol:
    """The protocol of these keys; ``where`` is what a MedsegError names as their place. See :func:`read`."""
    try:
        protocol = Protocol.model_validate(dict(raw))
        faults = contradictions(protocol)
    except ValidationError as error:
        faults = [_fault(entry) for entry in error.errors()]
    if faults:
        raise MedsegError("\n".join([f"{where}:", *(f"  - {fault}" for fault in faults)]))
    return protocol


def contradictions(protocol: Protocol) -> list[str]:
    """What cannot be meant together, a sentence each."""
    faults = []
    roles = [(split, name, folder) for split in SPLITS for name, folder in protocol.folders(split).items()]
    for place, (split, name, folder) in enumerate(roles):
        for other, other_name, other_folder in roles[:place]:
            if Path(folder) == Path(other_folder):
                faults.append(f"the folder {folder!r} is in {other} and in {split}. Leave it in one.")
            elif name.casefold() == other_name.casefold():
                faults.append(f"{other} and {split} both show a set as {name!r}. Give one of them another name.")
    if protocol.folds:
        given = [key for key in ("test", "validation", "files", "hold_out") if getattr(protocol, key)]
        faults += [f"folds test and validate on every frame in turn; {key} contradicts that." for key in given]
        if isinstance(protocol.folds, int) and protocol.test_fold >= protocol.folds:
            faults.append(f"test_fold is {protocol.test_fold}; of {protocol.folds} folds the last is the next lower.")
    elif protocol.test_fold:
        faults.append("test_fold is given, but no folds.")
    if protocol.files:
        if "train" not in protocol.files:
            faults.append("files has no list for train.")
        faults += [
            f"{split} is given beside a list of files for it. Leave one of them out."
            for split in ("validation", "test")
            if split in protocol.files and getattr(protocol, split) is not None
        ]
    if protocol.hold_out and protocol.share("test"):
        faults.append("hold_out names what is tested on; a share for test contradicts that.")
    if protocol.groups and protocol.sequences:
        faults.append("groups and sequences both say which frames belong together. Leave one of them out.")
    return faults


def _fault(entry: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        return unknown_key(place, Protocol.model_fields)
    found, said = entry["input"], entry["msg"].removeprefix("Value error, ")
    return f"{place}: found {found!r} ({type(found).__name__}); {said[0].lower()}{said[1:]}."
