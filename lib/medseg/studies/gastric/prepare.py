"""Preparation of the gastric study: DICOM files and their labels in, one prepared dataset out, split by patient."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from medseg import project
from medseg.datasets import audit, index
from medseg.datasets.folders import CaseNames, check_source
from medseg.datasets.index import DatasetDraft, PreparedDataset
from medseg.datasets.splits import stratified_groups
from medseg.datasets.texts import file_bytes
from medseg.errors import MedsegError
from medseg.studies.gastric import overlay as overlays
from medseg.studies.gastric import sources, tables
from medseg.studies.gastric.cases import Job, find_overlays, labelled, pool
from medseg.studies.gastric.corrections import read_corrections
from medseg.studies.gastric.issues import parse_issues
from medseg.studies.gastric.layout import Case
from medseg.studies.gastric.outputs import OUTPUTS, Recipe

SHARES = (0.6, 0.2, 0.2)


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    overlay: str = "detect",
    crop: Sequence[int] = (),
    size: Sequence[int] = (),
    outputs: Sequence[str] = OUTPUTS,
    corrections: str | Path = "",
    issues: str | Path = "",
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    workers: int = 0,
    drop_duplicates: bool = False,
    classes: Sequence[str] = (),
    groups: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> PreparedDataset:
    """Read gastroscopies in the public layout or another, clean and check them, and write a prepared dataset.

    Each picture is decoded once for all outputs. ``images/`` holds 8-bit RGB PNG, ``labels/`` class maps (PNG, 0: no
    lesion, else the number of the class). What cannot be used is left out and listed in ``rejected.csv`` with
    its reason. The same input gives the same bytes, whatever the number of workers. Beside the columns of every index
    there are ``phase`` (0: no lesion), ``width_px``, ``height_px``, ``lesion_fraction`` (of the picture's area, 0
    to 1), ``source_image`` and ``source_label`` (relative to ``source``; the latter empty where corrections stand in).

    Further outputs, all in the frame of the cleaned picture before crop and resize: ``originals/`` (the cleaned
    picture), ``masks/`` (0 and 255), ``rois/`` and ``rois_by_phase/phase-N/`` (the lesion and 7 pixels round it, the
    rest black), ``annotations.xml`` (CVAT for images 1.1, over ``originals/``) and ``labels.csv``. ``files.csv`` lists
    the files of every case. ``inspector/`` (JPEG: original, mask, overlay and cleaned picture in one) shows the
    burned-in text, so leave it out where that names patients.

    Args:
        source: folder with ``LABELS`` and ``DICOM``; see :mod:`medseg.studies.gastric.layout`, and the module
            ``labels`` beside it for how a picture without a lesion is told from a faulty label. Or pictures with
            labelme, COCO or CVAT files or masks of class numbers; see :mod:`medseg.studies.gastric.own_layouts`.
        out: the prepared dataset; replaced as a whole, or left as it was.
        overlay: ``detect`` blanks what lies outside the endoscope's window, found anew for each size of picture;
            ``published`` blanks the published fixed geometry and shifts the picture by 51 pixels; ``off`` does nothing.
        crop: left, top, width and height of what is kept of the cleaned picture, pixels; empty for all.
        size: width and height, in this order, of pictures and labels; empty to leave them as they are.
        outputs: which of :data:`OUTPUTS` to write beside pictures and labels.
        corrections: annotation file that came back from CVAT; what it says of a picture replaces the picture's label.
            Its coordinates are those of ``originals/`` under the same ``overlay``. Without a shape: no lesion.
        issues: CSV of pictures to drop or keep; see :mod:`medseg.studies.gastric.issues`.
        shares: of training, validation and test, by whole patients and stratified by phase; add up to 1.
        seed: of the split.
        workers: threads; 0 for one a core, at most 8.
        drop_duplicates: leave out pictures that look the same as one in another split, never those of a test set; see
            :func:`medseg.datasets.audit.find_duplicates`.
        classes: names of the classes, whose numbers in a class map are 1, 2 and so on; empty for those of the source:
            ``phase-1`` to ``phase-4`` in the public layout, else those of the labels.
        groups: regular expression with one group that finds the patient in the name of a picture, where neither the
            public layout nor folders tell; empty for none.
        progress: called with (pictures done, pictures in all).

    Raises:
        MedsegError: a parameter out of range, a missing or empty source, an unreadable ``corrections`` or ``issues``,
            no usable picture, fewer patients than splits, or a disk that refuses; nothing is written then.
    """
    source, out = project.resolve(source), project.resolve(out)
    recipe = _recipe(crop, size, outputs)
    if overlay not in overlays.MODES:
        raise MedsegError(f"The overlay is {overlay!r}; there are {', '.join(overlays.MODES)}.")
    if workers < 0 or len(shares) != len(index.SPLITS):
        raise MedsegError(
            f"workers is {workers} and shares {list(shares)}; expected 0 or more, and three numbers: training, "
            "validation and test."
        )
    split_shares = dict(zip(index.SPLITS, map(float, shares), strict=True))
    check_source(source, out, sources.EXPECTED)
    with pool(workers) as run_all, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sources.find(source, classes, groups, run_all)
    recipe = replace(recipe, classes=found.classes)
    names = CaseNames(found.cases)
    with index.writing(
        out,
        study="gastric",
        name="gastric",
        classes=list(found.classes),
        channels=["red", "green", "blue"],
        label_format=f"class map: 0 no lesion, 1 to {len(found.classes)} the {'phase' if found.single else 'class'}",
        source={"folder": source.name, "layout": found.layout},
        overlay={"mode": overlay},
        crop=list(recipe.crop),
        size=list(recipe.size),
        outputs=[name for name in OUTPUTS if name in recipe.outputs],
        corrections=Path(corrections).name if corrections else "",
        issues=Path(issues).name if issues else "",
        shares=split_shares,
        seed=seed,
        groups_guessed=[source.name] if found.guessed else [],
        notes=list(found.notes),
    ) as draft:
        job = Job(draft, source, recipe, found)
        for path, reason in found.problems:
            draft.reject(job.relative(path), reason)
        if corrections:
            job.corrected = read_corrections(project.resolve(corrections), names, draft.reject)
        usable = labelled(job, _without_dropped(found.cases, issues, names, job))
        with warnings.catch_warnings(), pool(workers) as run_all:
            warnings.simplefilter("ignore")  # pydicom's on odd files; set once, as all threads share the filters
            find_overlays(job, usable, overlay, run_all)
            total = len(usable)
            for done, (case, result) in enumerate(zip(usable, run_all(job.run, usable), strict=True), 1):
                job.note(case, result)
                if progress:
                    progress(done, total)
        job.finish()
        if draft.rows:
            _split(draft, split_shares, seed)
            job.forget(audit.find_duplicates(draft, drop_duplicates, lambda row: row["source_image"]))
            tables.count_phases(draft, split_shares)
        tables.write(job)
    return index.load(out)


def _recipe(crop: Sequence[int], size: Sequence[int], outputs: Sequence[str]) -> Recipe:
    if unknown := [name for name in outputs if name not in OUTPUTS]:
        raise MedsegError(f"There is no output {unknown[0]!r}; there are {', '.join(OUTPUTS)}.")
    if crop and (len(crop) != 4 or min(crop[:2]) < 0 or min(crop[2:]) < 1):
        raise MedsegError(f"The crop is {list(crop)}; expected left, top, width and height in pixels, or nothing.")
    if size and (len(size) != 2 or not 1 <= min(size) <= max(size) <= 8192):
        raise MedsegError(f"The size is {list(size)}; expected width and height, 1 to 8192 pixels, or nothing.")
    return Recipe(tuple(map(int, crop)), tuple(map(int, size)), tuple(outputs))


def _without_dropped(cases: list[Case], issues: str | Path, names: CaseNames, job: Job) -> list[Case]:
    """The cases that the issue list leaves; the others are rejected."""
    dropped: dict[str, str] = {}
    listed = project.resolve(issues)
    for issue in parse_issues(file_bytes(listed), project.display(listed)) if issues else []:
        found = names.find(issue.file)
        if len(found) != 1:
            job.draft.reject(issue.file, f"named in {Path(issues).name}, but there is no such picture, or several")
        elif issue.action == "drop":
            dropped[found[0]] = f"dropped by {Path(issues).name}" + (f": {issue.issue}" if issue.issue else "")
    for case in cases:
        if case.case_id in dropped:
            job.reject(case, job.relative(case.image), dropped[case.case_id])
    return [case for case in cases if case.case_id not in dropped]


def _split(draft: DatasetDraft, shares: dict[str, float], seed: int) -> None:
    groups, phases = ([row[key] for row in draft.rows] for key in ("group", "phase"))
    split_of = stratified_groups(groups, phases, shares, seed)
    for row in draft.rows:
        row["split"] = split_of[row["group"]]
        row["test_set"] = "test" if row["split"] == "test" else ""
