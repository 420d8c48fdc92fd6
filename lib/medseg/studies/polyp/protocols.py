"""From a protocol, or what a folder holds, to the sets that train, validate and test, each with its frames."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets.folders import Problem, composed
from medseg.datasets.index import SPLITS
from medseg.errors import MedsegError
from medseg.names import did_you_mean, listed
from medseg.studies.polyp import places, protocol_file
from medseg.studies.polyp.layout import EXPECTED, Centre, centre_named, read_centre
from medseg.studies.polyp.protocol_file import Protocol

ANY = f"a folder with {EXPECTED}, or one such subfolder per set"
_ADVICE = (
    "Say what is tested on: hold_out=FOLDER trains on the other folders; a protocol file (protocol=FILE.yaml, with "
    "train and test) says it for each; see data/README.md."
)


@dataclass(frozen=True)
class Plan:
    """A protocol and the sets that were found for it.

    ``name`` is shown with every table; ``rules`` is what the file says; ``folder`` is that of the file, to which lists
    named in it are relative; ``centres`` are in the order train, validation, test, and ``role`` gives the split of each
    by its name; ``ignored`` is what else lies in the source; ``chosen`` says in a sentence what was found, where
    nobody named a protocol, or is empty.
    """

    name: str
    rules: Protocol
    folder: Path
    centres: list[Centre]
    role: dict[str, str]
    ignored: list[Problem]
    chosen: str = ""


def built_in() -> dict[str, Path]:
    """Files of the protocols that come with the study, by name."""
    folder = project.root() / "notebooks" / "polyp" / "protocols"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def plan(source: Path, protocol: str = "", hold_out: str = "") -> Plan:
    """Find the sets of a protocol in ``source``.

    Args:
        protocol: name of a built-in one, or path of a file (relative to the project or to ``source``); empty: what is
            found decides. With ``hold_out`` every folder with pictures and masks is a set; one such folder alone is
            split; else it is the built-in protocol whose sets are all there.
        hold_out: the set that is tested on, while the others train; stands before that of the file.

    Raises:
        MedsegError: no such protocol, faults in its file, a folder that is missing, without pictures with masks, or in
            two splits, or more than one set where nothing says which is tested on.
    """
    if protocol:
        file = _file(source, protocol)
        rules = protocol_file.read(file)
        held = hold_out or rules.hold_out
        if held:
            rules = protocol_file.checked({**_given(rules), "hold_out": held}, f"{project.display(file)}, hold_out")
        return _found(source, file.stem + (f"-without-{hold_out}" if hold_out else ""), rules, file.parent)
    if hold_out:
        return _found(source, f"hold-out-{hold_out}", Protocol(hold_out=hold_out), source)
    return _chosen(source)


def _file(source: Path, protocol: str) -> Path:
    known = built_in()
    if protocol in known:
        return known[protocol]
    for file in (project.resolve(protocol), source / Path(protocol).expanduser()):
        if file.is_file():
            return file
    raise MedsegError(
        f"There is no protocol {protocol!r}. There are: {', '.join(known)}; or a file "
        f"({project.display(project.resolve(protocol))} is none).{did_you_mean(protocol, known)}"
    )


def _given(rules: Protocol) -> dict[str, Any]:
    return {key: getattr(rules, key) for key in rules.model_fields_set}


def _chosen(source: Path) -> Plan:
    """The protocol that fits what lies in ``source``."""
    here = read_centre(_name_of(source), source, depth=0)
    if here.pairs:
        return _one_folder(source, here)
    for name, file in built_in().items():
        rules = protocol_file.read(file)
        if all(_centre(source, shown, folder).pairs for shown, folder in _named(rules).items()):
            chosen = f"Nobody named a protocol; {name} was taken, as all its sets are there."
            found = _found(source, name, rules, file.parent)
            return replace(found, chosen=chosen)
    inner = places.centres_in(source)
    if not inner:
        raise MedsegError(
            f"No picture with its mask was found in {project.display(source)}. Expected {ANY}. An image and its mask "
            "bear the same name; the mask's may also be pNAME or NAME_mask."
        )
    if len(inner) > 1:
        sets = listed(f"{centre.name} ({len(centre.pairs)} images)" for centre in inner)
        raise MedsegError(f"{project.display(source)} holds {len(inner)} sets: {sets}. {_ADVICE}")
    return _one_folder(source, inner[0])


def _one_folder(source: Path, centre: Centre) -> Plan:
    chosen = (
        f"Nobody named a protocol; the one folder with pictures and masks ({centre.folder.name}) was split into "
        "training, validation and test by whole groups of frames."
    )
    folder = centre.folder.relative_to(source).as_posix()
    rules = Protocol(train={centre.name: folder})
    ignored = places.left_over(source, [centre.folder], centre.name)
    return Plan("one-folder", rules, source, [centre], {centre.name: "train"}, ignored, chosen)


def _found(source: Path, name: str, rules: Protocol, folder: Path) -> Plan:
    """The plan of ``rules``, or one message of all that is missing."""
    centres = {split: [_centre(source, *pair) for pair in rules.folders(split).items()] for split in SPLITS}
    if not rules.train:
        elsewhere = {centre.folder for split in SPLITS for centre in centres[split]}
        here = read_centre(_name_of(source), source, depth=0)
        found = [here] if here.pairs else places.centres_in(source)
        centres["train"] = [centre for centre in found if centre.folder not in elsewhere]
    every = [centre for split in SPLITS for centre in centres[split]]
    _refuse_missing(source, name, rules, every)
    _refuse_overlap(source, every)
    if rules.hold_out:
        held = _held_out(source, rules.hold_out, centres["train"])
        centres["train"].remove(held)
        centres["test"].insert(0, held)
    role = {centre.name: split for split in SPLITS for centre in centres[split]}
    every = [centre for split in SPLITS for centre in centres[split]]
    ignored = places.left_over(source, [centre.folder for centre in every], ", ".join(role))
    return Plan(name, rules, folder, every, role, ignored)


def _named(rules: Protocol) -> dict[str, str]:
    return {**rules.folders("train"), **rules.folders("validation"), **rules.folders("test")}


def _centre(source: Path, shown: str, folder: str) -> Centre:
    """A named set; without pairs where its folder is missing, which is then said as its only problem."""
    place = places.locate(source, folder)
    if place is None:
        return Centre(shown, source / folder, None, "", [], [(source / folder, "missing")])
    return read_centre(_name_of(source) if shown == "." else shown, place)


def _held_out(source: Path, wanted: str, centres: list[Centre]) -> Centre:
    found = [centre for centre in centres if wanted in (centre.name, centre.folder.name)]
    found = found or [c for c in centres if places.same_name(c.name, wanted) or places.same_name(c.folder.name, wanted)]
    names = [centre.name for centre in centres]
    if len(found) != 1:
        raise MedsegError(
            f"hold_out: {project.display(source)} has no folder {wanted!r} with pictures and masks among those that "
            f"train.{did_you_mean(wanted, names)} There are: {listed(names) or 'none'}."
        )
    if len(centres) < 2:
        raise MedsegError(f"hold_out: {names[0]} is the only set in {project.display(source)}; nothing would train.")
    return found[0]


def _refuse_missing(source: Path, name: str, rules: Protocol, every: list[Centre]) -> None:
    usable = [centre for centre in every if centre.pairs]
    if every and len(usable) == len(every):
        return
    gone = [centre.name for centre in every if not centre.folder.is_dir()]
    hollow = [centre for centre in every if centre.folder.is_dir() and not centre.pairs]
    found = ", ".join(f"{centre.name} ({len(centre.pairs)} images)" for centre in usable) or "none of them"
    details = [f"{', '.join(gone)} missing"] if gone else []
    details += [f"no image with its mask in {c.folder.relative_to(source)} ({c.problems[0][1]})" for c in hollow]
    ignored = places.left_over(source, [c.folder for c in every if c.folder.is_dir()], "")
    others = listed(path.name for path, _ in ignored)
    alone = centre_named(source.name) is not None
    raise MedsegError(
        f"The protocol {name!r} needs {', '.join(_named(rules)) or 'sets'} in {project.display(source)}. "
        f"Found: {found}; {'; '.join(details) or 'no picture with its mask'}."
        + (f" Not used: {others}." if others else "")
        + (f" {source.name} looks like one dataset; give the folder that holds them all." if alone else "")
        + f" Expected {rules.expected or ANY}{f', each with {EXPECTED}' if rules.expected else ''}."
    )


def _refuse_overlap(source: Path, every: list[Centre]) -> None:
    seen: dict[Path, str] = {}
    for centre in every:
        place = centre.folder.resolve()
        for other, name in seen.items():
            if place.is_relative_to(other) or other.is_relative_to(place):
                raise MedsegError(
                    f"{name} and {centre.name} are the same folder in {project.display(source)}, or one lies in the "
                    "other: the same frames would be in two sets. Leave it in one."
                )
        seen[place] = centre.name


def _name_of(source: Path) -> str:
    return composed(source.resolve().name) or "frames"
