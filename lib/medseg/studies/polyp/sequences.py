"""Which frames are of the same video: the groups that no split may tear apart.

In this order: a pattern or a table given by the user; the published frame ranges of CVC-ClinicDB; else a guess by
frame number.
CVC has published no such table for CVC-ColonDB (15 videos), nor ETIS-Larib for its 34.
"""

import bisect
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets.folders import Problem, plain_name
from medseg.datasets.texts import read_list
from medseg.errors import MedsegError
from medseg.studies.polyp.layout import CENTRES, TABLE, Centre

BLOCK = 25  # frames; a video of ColonDB gave 20 to 25, one of ClinicDB 21 on average
_MIN_BLOCKS = 5  # so that a small series can still be split

# Last frame of each of the 29 sequences (Bernal et al. 2015; table at datasetninja.com/cvc-612).
_CLINICDB_LAST_FRAMES = (
    *(25, 50, 67, 78, 103, 126, 151, 177, 199, 205, 227, 252, 277, 297, 317),
    *(342, 363, 383, 408, 428, 447, 466, 478, 503, 528, 546, 571, 591, 612),
)


@dataclass(frozen=True)
class Grouping:
    """Groups of one centre, how they were found, in words, and whether that is a guess.

    ``group`` has the group of each pair by its name, prefixed by the centre; ``problems`` are images that the user's
    table leaves out, and lines of it without an image.
    """

    group: dict[str, str]
    method: str
    guessed: bool
    problems: list[Problem]


def group_frames(centre: Centre, table: Path | None, *, clinicdb_numbers: bool) -> Grouping:
    """Group the frames of one centre by video; the centre's name prefixes the groups.

    Args:
        table: CSV with the columns ``file`` (name of an image, with or without extension) and ``sequence``, or None;
            MedsegError where it cannot be read, or lists one image in two sequences.
        clinicdb_numbers: names that are whole numbers are known to be frame numbers of CVC-ClinicDB. Without this
            knowledge they are taken for such only where exactly 1 to 612 are there and the centre, or its folder, is
            called ClinicDB.
    """
    if table is not None:
        return _by_table(centre, table)
    numbers = {pair.name: int(pair.name) for pair in centre.pairs if re.fullmatch("[1-9][0-9]*", pair.name)}
    last = _CLINICDB_LAST_FRAMES[-1]
    complete = _is_clinicdb((centre.name, centre.folder.name)) and sorted(numbers.values()) == list(range(1, last + 1))
    published = {}
    if complete or (clinicdb_numbers and numbers and max(numbers.values()) <= last):
        published = {
            name: f"{centre.name}/sequence {bisect.bisect_left(_CLINICDB_LAST_FRAMES, number) + 1:02d}"
            for name, number in numbers.items()
        }
    rest = [pair.name for pair in centre.pairs if pair.name not in published]
    guessed, method = _by_frame_number(centre.name, rest)
    methods = (["published frame ranges of CVC-ClinicDB"] if published else []) + ([method] if rest else [])
    return Grouping({**published, **guessed}, "; the others: ".join(methods), bool(rest), [])


def by_pattern(centre: Centre, pattern: str) -> Grouping:
    """Groups as ``pattern`` finds them: a regular expression with one group, searched in the names of the images.

    Names in which it finds nothing are problems: nobody knows with which frames they belong.
    """
    group, problems = {}, []
    for pair in centre.pairs:
        match = re.search(pattern, pair.name)
        if match and match[1]:
            group[pair.name] = f"{centre.name}/{match[1]}"
        else:
            problems.append((pair.image, f"the pattern of groups, {pattern}, finds nothing in its name"))
    return Grouping(group, f"by the pattern {pattern}", False, problems)


def alone(centre: Centre) -> Grouping:
    """Every frame a group of its own, as the user says that none belong together."""
    group = {pair.name: f"{centre.name}/{pair.name}" for pair in centre.pairs}
    return Grouping(group, "each image by itself, as the protocol says", False, [])


def _is_clinicdb(names: Iterable[str]) -> bool:
    return any(known in plain_name(name) for name in names for known in CENTRES["ClinicDB"])


def _by_table(centre: Centre, table: Path) -> Grouping:
    sequence_of: dict[str, str] = {}
    for _, line in read_list(table, ("file", "sequence"), project.display(table)):
        file_name, sequence = line["file"], line["sequence"]
        if sequence_of.setdefault(file_name, sequence) != sequence:
            raise MedsegError(
                f"{project.display(table)} puts {file_name} in two sequences, {sequence_of[file_name]} and "
                f"{sequence}. Keep the right line."
            )
    group, problems = {}, []
    there = {name for path, _ in centre.problems for name in (path.name, path.stem)}
    for pair in centre.pairs:
        key = pair.image.name if pair.image.name in sequence_of else pair.name
        there.add(key)
        if sequence_of.get(key):
            group[pair.name] = f"{centre.name}/{sequence_of[key]}"
        else:
            problems.append((pair.image, f"{table.name} names no sequence for it"))
    problems += [(table, f"lists {name!r}, which is not there") for name in sequence_of if name not in there]
    return Grouping(group, TABLE, False, problems)


def _by_frame_number(centre: str, names: Sequence[str]) -> tuple[dict[str, str], str]:
    """Blocks of neighbours among names that differ in their last number only; any other name by itself.

    Where there are enough series of such names to divide, a short one stays whole: it may be one patient.
    """
    series: dict[str, list[str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)([0-9]+)", name, re.DOTALL)
        series.setdefault(match[1] if match else name, []).append(name)
    group = {}
    for prefix, members in series.items():
        longest_block = BLOCK if len(series) >= _MIN_BLOCKS else min(BLOCK, len(members) // _MIN_BLOCKS)
        blocks = math.ceil(len(members) / max(1, longest_block))
        for place, name in enumerate(members):
            block = place * blocks // len(members) + 1
            group[name] = f"{centre}/{prefix}block {block:03d}" if blocks < len(members) else f"{centre}/{name}"
    longest = max(Counter(group.values()).values(), default=1)
    return group, f"frame blocks of up to {longest}" if longest > 1 else "each image by itself"
