"""Where the folders that a protocol names lie, and what else lies beside them."""

from collections.abc import Iterable
from pathlib import Path

from medseg import project
from medseg.datasets.folders import Problem, composed, entries, is_picture, plain_name
from medseg.errors import MedsegError
from medseg.studies.polyp.layout import Centre, centre_named, read_centre


def locate(source: Path, folder: str) -> Path | None:
    """The folder that a protocol calls ``folder``, relative to ``source``; None where it is not there.

    Each part is found by its exact name, else whatever its case and punctuation, else as one of the names of a
    well-known set. A folder that an archive put into one of its own name is entered. MedsegError: two are meant.
    """
    place: Path | None = source
    for part in Path(folder).parts:
        if place is None:
            return None
        inner = [entry for entry in _subfolders(place) if plain_name(entry.name) == plain_name(place.name)]
        place = _child(place, part) or (_child(inner[0], part) if inner and place != source else None)
    return place


def centres_in(source: Path) -> list[Centre]:
    """Every subfolder that holds pictures with their masks, by the name of the folder."""
    found = (read_centre(composed(entry.name), entry) for entry in _subfolders(source))
    return [centre for centre in found if centre.pairs]


def same_name(one: str, other: str) -> bool:
    """Whether two names of folders mean the same one: equal but for case and punctuation, or of one well-known set."""
    if plain_name(one) and plain_name(one) == plain_name(other):
        return True
    return one == other or (centre_named(one) is not None and centre_named(one) == centre_named(other))


def left_over(source: Path, used: Iterable[Path], read: str) -> list[Problem]:
    """Folders and loose pictures of ``source`` that are not read; ``read`` says in words what is."""
    places = list(used)
    problems: list[Problem] = []
    if source in places:
        return problems
    for entry in entries(source):
        if entry.is_dir():
            if entry in places:
                continue
            if any(place.is_relative_to(entry) for place in places):
                problems += left_over(entry, places, read)
            else:
                problems.append((entry, _not_read(entry, read)))
        elif is_picture(entry):
            problems.append((entry, "lies outside the folders of the sets"))
    return problems


def _not_read(folder: Path, read: str) -> str:
    if known := centre_named(folder.name):
        return f"{known} is not part of this protocol, which reads {read}"
    return f"folder not recognised by its name: this protocol reads {read}"


def _child(folder: Path, name: str) -> Path | None:
    subfolders = _subfolders(folder)
    exact = [entry for entry in subfolders if composed(entry.name) == composed(name)]
    alike = [entry for entry in subfolders if same_name(entry.name, name)]
    if len(alike) > 1 and (not exact or centre_named(name)):
        raise MedsegError(
            f"{project.display(folder)} holds {name} twice: {alike[0].name} and {alike[1].name}. "
            "Move one of them out of this folder."
        )
    return next(iter(exact or alike), None)


def _subfolders(folder: Path) -> list[Path]:
    return [entry for entry in entries(folder) if entry.is_dir()]
