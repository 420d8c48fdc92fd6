"""Groups of the frames of every set of a protocol, and what the report has to say of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medseg import project
from medseg.datasets.folders import Problem, entries
from medseg.errors import MedsegError
from medseg.studies.polyp import sequences
from medseg.studies.polyp.layout import Centre
from medseg.studies.polyp.protocol_file import NO_SEQUENCES
from medseg.studies.polyp.protocols import Plan
from medseg.studies.polyp.sequences import Grouping

_GUESS = (
    "The videos of {centres} are not known, so frames were grouped by their numbers: neighbours may lie in two groups, "
    "and where that is the training set its validation scores{test} may flatter. A sequences.csv (columns "
    "file,sequence) in the dataset's folder fixes that."
)
_ALONE = (
    "The videos and patients of {centres} are not known, so every frame stands for itself: frames of one patient may "
    "lie in two splits, and where that is the training set its validation scores{test} may flatter. A sequences.csv "
    "(columns file,sequence) in the dataset's folder, or groups in a protocol file, fixes that."
)
_LISTED = (
    "Lists of files decide the splits of {centres}. Its videos and patients are not known: nobody can say whether "
    "frames of one are in two splits."
)


def group(plan: Plan, tables: str | Path) -> dict[str, Grouping]:
    """Groups of every set by its name: by the protocol's pattern or table, by ``sequences.csv``, published, or guessed.

    ``tables`` is a folder of ``SET.csv`` for the sets that have none of their own, or empty. Where lists of files
    decide the splits and nothing is known of the videos, every frame stands for itself. Raises MedsegError: a table
    that cannot be read or is for a set that is not there, or a pattern or table without a single frame of a set.
    """
    names = [centre.name for centre in plan.centres]
    given = _tables(tables)
    if unknown := sorted(set(given) - set(names)):
        raise MedsegError(f"Sequences are given for {unknown[0]!r}; this protocol reads {', '.join(names)}.")
    if unknown := sorted(set(plan.rules.clinicdb_numbers) - set(names)):
        raise MedsegError(f"clinicdb_numbers names {unknown[0]!r}; this protocol reads {', '.join(names)}.")
    common = _common_table(plan)
    found = {c.name: _of_set(plan, c, common or c.table or given.get(c.name)) for c in plan.centres}
    for centre in plan.centres:
        if not found[centre.name].group:
            reasons = "; ".join(reason for _, reason in found[centre.name].problems[:1])
            raise MedsegError(
                f"None of the {len(centre.pairs)} images of {centre.name} in {project.display(centre.folder)} belongs "
                f"to a group ({reasons}). Mend the pattern or the table, or leave it out."
            )
    return _lost_once(found, common) if common else found


def notes(plan: Plan, groupings: Mapping[str, Grouping]) -> list[str]:
    """Sentences for the report: where groups are a guess."""
    guessed = [name for name, found in groupings.items() if found.guessed]
    listed = [name for name in guessed if plan.rules.files and plan.role[name] == "train"]
    guessed = [name for name in guessed if name not in listed]
    from_training = bool(plan.rules.folds) or "test" not in plan.role.values()
    said = []
    if guessed:
        test = " and its test scores" if from_training else ""
        apart = [name for name in guessed if len(set(groupings[name].group.values())) == len(groupings[name].group)]
        for note, named in ((_GUESS, [name for name in guessed if name not in apart]), (_ALONE, apart)):
            said += [note.format(centres=", ".join(named), test=test)] if named else []
    return said + ([_LISTED.format(centres=", ".join(listed))] if listed else [])


def _of_set(plan: Plan, centre: Centre, table: Path | None) -> Grouping:
    rules = plan.rules
    if rules.groups:
        return sequences.by_pattern(centre, rules.groups)
    if rules.sequences == NO_SEQUENCES:
        return sequences.alone(centre)
    found = sequences.group_frames(centre, table, clinicdb_numbers=centre.name in rules.clinicdb_numbers)
    if found.guessed and rules.files and plan.role[centre.name] == "train":
        return replace(sequences.alone(centre), method="each image by itself, as lists of files decide", guessed=True)
    return found


def _common_table(plan: Plan) -> Path | None:
    """The protocol's own table, for all sets."""
    wanted = plan.rules.sequences
    return plan.folder / Path(wanted).expanduser() if wanted not in ("", NO_SEQUENCES) else None


def _lost_once(found: dict[str, Grouping], table: Path) -> dict[str, Grouping]:
    """Of a table for several sets, a line is without an image only where no set has it; said once."""
    lost = [{problem for problem in one.problems if problem[0] == table} for one in found.values()]
    nowhere: set[Problem] = set.intersection(*lost)
    for place, (name, one) in enumerate(found.items()):
        kept = [p for p in one.problems if p[0] != table or (not place and p in nowhere)]
        found[name] = replace(one, problems=kept)
    return found


def _tables(folder: str | Path) -> dict[str, Path]:
    if not folder:
        return {}
    folder = project.resolve(folder)
    tables = {entry.stem: entry for entry in entries(folder) if entry.suffix.casefold() == ".csv"}
    if not tables:
        raise MedsegError(f"{project.display(folder)} holds no CSV file; expected DATASET.csv, such as ETIS.csv.")
    return tables
