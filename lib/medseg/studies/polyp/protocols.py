"""The named protocols of the polyp study: what is trained on, what is tested on, and whether it is all there."""

from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets.folders import Problem, entries, plain_name
from medseg.errors import MedsegError
from medseg.studies.polyp.layout import EXPECTED, Centre, centre_named, discover, read_centre

TRAIN_DATASET = "TrainDataset"  # PraNet's mixture of Kvasir-SEG and CVC-ClinicDB


@dataclass(frozen=True)
class Protocol:
    """Which dataset is trained on and which are test sets, by the names that cases and test sets bear."""

    name: str
    train: str
    tests: tuple[str, ...]
    layout: str


_COLONDB = Protocol(
    *("colondb", "ColonDB", ("ClinicDB", "ETIS")),
    "one subfolder per dataset: CVC-ColonDB, CVC-ClinicDB, ETIS-LaribPolypDB",
)
_PRANET = Protocol(
    "pranet",
    TRAIN_DATASET,
    ("CVC-300", "ClinicDB", "ColonDB", "ETIS", "Kvasir"),
    "TrainDataset/{image,masks} and TestDataset/{CVC-300,CVC-ClinicDB,CVC-ColonDB,ETIS-LaribPolypDB,Kvasir}/"
    "{images,masks}, as PraNet distributes them",
)
PROTOCOLS = {protocol.name: protocol for protocol in (_COLONDB, _PRANET)}


def named(name: str) -> Protocol:
    """The protocol of this name; MedsegError where there is none."""
    if name not in PROTOCOLS:
        raise MedsegError(f"There is no protocol {name!r}. There are: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def find_centres(source: Path, protocol: Protocol) -> tuple[list[Centre], list[Problem]]:
    """The datasets of a protocol, training first, each with at least one pair; and what else lies in ``source``.

    Raises MedsegError: a dataset that the protocol needs is not there.
    """
    wanted = (protocol.train, *protocol.tests)
    found, ignored = _discover_pranet(source, protocol.tests) if protocol is _PRANET else discover(source, wanted)
    there = [found[name] for name in wanted if name in found]
    usable, without_pairs = [c for c in there if c.pairs], [c for c in there if not c.pairs]
    if len(usable) < len(wanted):
        missing = [name for name in wanted if name not in found]
        listed = ", ".join(f"{centre.name} ({len(centre.pairs)} images)" for centre in usable) or "none of them"
        others = ", ".join(path.name for path, _ in ignored)
        alone = centre_named(source.name) is not None
        details = [f"{', '.join(missing)} missing"] if missing else []
        details += [
            f"no image with its mask in {c.folder.relative_to(source)} ({c.problems[0][1]})" for c in without_pairs
        ]
        raise MedsegError(
            f"The protocol {protocol.name!r} needs {', '.join(wanted)} in {project.display(source)}. Found: {listed}; "
            f"{'; '.join(details)}."
            + (f" Not used: {others}." if others else "")
            + (f" {source.name} looks like one dataset; give the folder that holds them all." if alone else "")
            + f" Expected {protocol.layout}, each with {EXPECTED}."
        )
    return usable, ignored


def _discover_pranet(source: Path, wanted: tuple[str, ...]) -> tuple[dict[str, Centre], list[Problem]]:
    centres: dict[str, Centre] = {}
    ignored: list[Problem] = []
    for entry in entries(source):
        if entry.is_dir() and plain_name(entry.name) == "traindataset":
            centres[TRAIN_DATASET] = read_centre(TRAIN_DATASET, entry)
        elif entry.is_dir() and plain_name(entry.name) == "testdataset":
            inner = [child for child in entries(entry) if plain_name(child.name) == "testdataset"]
            tests, others = discover(inner[0] if inner else entry, wanted)
            centres |= tests
            ignored += others
        else:
            ignored.append((entry, "neither TrainDataset nor TestDataset, which this protocol reads"))
    return centres, ignored
