"""Preparation of the gastric study: DICOM files and their labels in, one prepared dataset out, split by patient."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from medseg import project
from medseg.datasets import audit, cvat, dicom, index
from medseg.datasets.folders import BadFile, CaseNames, check_source
from medseg.datasets.index import DatasetDraft, PreparedDataset
from medseg.datasets.splits import stratified_groups
from medseg.datasets.texts import file_bytes
from medseg.errors import MedsegError
from medseg.studies.gastric import layout
from medseg.studies.gastric import overlay as overlays
from medseg.studies.gastric.cases import Job, find_overlays, labelled, pool
from medseg.studies.gastric.corrections import read_corrections
from medseg.studies.gastric.issues import parse_issues
from medseg.studies.gastric.labels import CLASSES, COLOURS, PHASES
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
    progress: Callable[[int, int], None] | None = None,
) -> PreparedDataset:
    """Read the gastric set in its public layout, clean and check it, and write a prepared dataset.

    The picture of each DICOM file is decoded once for all outputs. ``images/`` holds 8-bit RGB PNG, ``labels/`` class
    maps (PNG, 0: no lesion, 1 to 4: the phase). What cannot be used is left out and listed in ``rejected.csv`` with
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
            ``labels`` beside it for how a picture without a lesion is told from a faulty label.
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
    check_source(source, out, layout.EXPECTED)
    with pool(workers) as run_all, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases, problems = layout.discover(source, partial(run_all, _frames))
    names = CaseNames(cases)
    with index.writing(
        out,
        study="gastric",
        name="gastric",
        classes=list(CLASSES),
        channels=["red", "green", "blue"],
        label_format="class map: 0 no lesion, 1 to 4 the phase",
        source={"folder": source.name, "layout": layout.EXPECTED},
        overlay={"mode": overlay},
        crop=list(recipe.crop),
        size=list(recipe.size),
        outputs=[name for name in OUTPUTS if name in recipe.outputs],
        corrections=Path(corrections).name if corrections else "",
        issues=Path(issues).name if issues else "",
        shares=split_shares,
        seed=seed,
        groups_guessed=[],
        notes=[],
    ) as draft:
        job = Job(draft, source, recipe)
        for path, reason in problems:
            draft.reject(job.relative(path), reason)
        if corrections:
            job.corrected = read_corrections(project.resolve(corrections), names, draft.reject)
        usable = labelled(job, _without_dropped(cases, issues, names, job))
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
            _count_phases(draft, split_shares)
        _write_tables(job)
    return index.load(out)


def _frames(image: Path) -> int:
    try:
        return dicom.count_frames(image)
    except BadFile:
        return 1  # the pass that follows says why


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


def _count_phases(draft: DatasetDraft, shares: dict[str, float]) -> None:
    phases, placed = ([row[key] for row in draft.rows] for key in ("phase", "split"))
    table = pd.crosstab(pd.Series(phases), pd.Series(placed))
    table = table.reindex(index=[0, *PHASES], columns=[name for name in shares if shares[name]], fill_value=0)
    draft.info["phases"] = {name: {str(phase): int(n) for phase, n in table[name].items()} for name in table}
    for phase in PHASES:
        lacking = [name for name in table if not table.loc[phase, name]]
        if lacking and table.loc[phase].any():
            draft.info["notes"].append(f"No picture of phase {phase} is in {' and '.join(lacking)}: too few patients.")


def _write_tables(job: Job) -> None:
    draft, described = job.draft, _described_overlays(job)
    draft.info["overlay"]["sizes"] = described
    if draft.info["overlay"]["mode"] == "published" and len(described) > 1:
        draft.info["notes"].append(
            f"The published geometry fits one size of picture; there are {len(described)}: {', '.join(described)}. "
            "Text may be left in some; 'detect' finds each size's own."
        )
    if draft.info["overlay"]["mode"] == "detect":
        draft.info["notes"] += [
            f"No endoscope window stands out in the pictures of {size}: nothing was blanked there."
            for size, facts in described.items()
            if facts["kept"] is None
        ]
    for name, rows in (("labels.csv", job.labels), ("files.csv", job.files)):
        draft.write_file(name, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())
    colours = {name: "#{:02x}{:02x}{:02x}".format(*COLOURS[phase]) for phase, name in zip(PHASES, CLASSES, strict=True)}
    draft.write_file("annotations.xml", cvat.dump(job.annotations, colours, "gastric").encode())


def _described_overlays(job: Job) -> dict[str, dict[str, Any]]:
    """For each size of picture, how many there are and the box of what was kept (left, top, width, height)."""
    return {
        f"{size[0]}x{size[1]}": {"pictures": job.sizes[size], "kept": job.overlay_on(size).kept}
        for size in sorted(job.sizes)
    }
