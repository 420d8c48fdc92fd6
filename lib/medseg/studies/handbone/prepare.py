"""Preparation of the hand-bone study: the public layout in, one prepared dataset out, in folds by patient."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets import audit, images, index, spacing
from medseg.datasets.folders import BadFile, check_source, checked_pattern, relative
from medseg.datasets.index import DatasetDraft, PreparedDataset
from medseg.datasets.polygons import MAX_BIT_CLASSES, PolygonSet, dump
from medseg.datasets.splits import fold_split, group_folds
from medseg.errors import MedsegError
from medseg.names import listed
from medseg.studies.handbone import corrections as bone_corrections
from medseg.studies.handbone import labels, own_layouts, patient_table, pictures
from medseg.studies.handbone.bones import CLASSES
from medseg.studies.handbone.corrections import Corrections
from medseg.studies.handbone.layout import EXPECTED, SIDE_RULE, Case, discover, roots
from medseg.studies.handbone.own_layouts import Found
from medseg.studies.handbone.patient_table import PatientTable, patient_key
from medseg.studies.handbone.pictures import CONVERSION_RULE, Picture, cropped, window_around


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    folds: int = 5,
    classes: Sequence[str] = (),
    groups: str = "",
    metadata: str | Path = "",
    corrections: str | Path = "",
    crop: str = "",
    crop_margin: float = 1.0,
    drop_duplicates: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedDataset:
    """Read hand X-rays and their outlined bones, check them, and write a prepared dataset.

    Pictures are 8-bit grey PNG, byte for byte the original where that is one. Labels are polygons (see
    :mod:`medseg.datasets.polygons`) in continuous coordinates: the points of the public labels are taken as such,
    (0, 0) being the upper left corner of the picture. Several polygons of one bone are all kept; their union is the
    bone. What cannot be used is left out and listed in ``rejected.csv``: a picture as a whole, or one annotation of it.
    The same input gives the same bytes.

    Beside the columns of every index there are ``image_name`` (whole file name, as submissions want it), ``side`` (R, L
    or ""), ``sex`` (F, M or ""), ``age`` (years), ``weight`` (kg), ``height`` (cm), each "" where not known,
    ``width_px`` and ``height_px``; where DICOM files tell it also ``spacing_x_mm`` and ``spacing_y_mm``, the size of a
    pixel; with ``crop`` also ``crop_left`` and ``crop_top``, the crop's place in the picture
    in pixels. ``dataset.json`` tells of ``incomplete`` cases (bones that are not outlined, by case; with ``crop``, in
    the whole picture), ``corrections``, ``metadata`` and how many ``sides`` are known.

    Fold 0 is tested on, fold 1 validates and the others train; :func:`medseg.datasets.splits.hold_out` turns that.

    Args:
        source: folder with ``DCM`` and ``outputs_json``, or a folder ``train`` that holds them; or as
            :mod:`medseg.studies.handbone.own_layouts` reads it.
        out: the prepared dataset; replaced as a whole, or left as it was.
        folds: cross-validation folds of whole patients, at least 3.
        classes: their names in order, at most 31; annotations of others are listed. Empty: the 29 bones in the
            published layout, else what the data names.
        groups: regular expression with one group, which finds the patient in the name of a picture; empty: by
            folders. Not in the published layout.
        metadata: table of the patients (xlsx or CSV; see :mod:`medseg.studies.handbone.patient_table`). Empty: the
            ``meta_data.xlsx`` or ``.csv`` in ``source`` or its ``train``; without one nothing is known of the patients.
        corrections: CSV of labels to change; see :mod:`medseg.studies.handbone.corrections`.
        crop: one of the 29 bones, to keep a square around it only; empty for whole pictures.
        crop_margin: what is kept on each side of that bone, as a multiple of its size, 0 or more.
        drop_duplicates: leave out pictures that look the same as one of another fold; see
            :func:`medseg.datasets.audit.find_duplicates`.
        seed: of the draw of the folds.
        progress: called with (pictures done, pictures in all).

    Raises:
        MedsegError: a parameter out of range, a missing source, an unreadable or contradictory table, no usable
            picture, fewer patients than folds, or a disk that refuses; nothing is written then.
    """
    source, out = project.resolve(source), project.resolve(out)
    check_source(source, out, f"{EXPECTED}; or {own_layouts.EXPECTED}")
    folders = roots(source)
    found = _published(folders) if folders else own_layouts.find(source, checked_pattern(groups))
    cases, names = found.cases, _classes(classes, found)
    _check(crop, crop_margin, names)
    corrected = bone_corrections.read(project.resolve(corrections), names) if corrections else []
    table = project.resolve(metadata) if metadata else patient_table.find(list(dict.fromkeys([source, *folders])))
    patients = patient_table.read(table) if table else PatientTable()
    job = _Job(source, patients, Corrections(corrected, cases), crop, crop_margin, names, found.read)
    with index.writing(
        out,
        study="handbone",
        name=f"handbone-{crop}" if crop else "handbone",
        classes=names,
        channels=["grey"],
        label_format="polygons",
        folds=folds,
        seed=seed,
        source={"folder": source.name, "layout": found.layout},
        pictures=CONVERSION_RULE,
        groups_guessed=[source.name] if found.guessed else [],
        crop={"class": crop, "margin": crop_margin} if crop else {},
        **({"notes": found.notes} if found.notes else {}),
    ) as draft:
        files = {case.case_id: relative(case.image, source) for case in cases}
        for path, reason in found.problems:
            draft.reject(relative(path, source), reason)
        for place, reason in job.patients.problems:
            draft.reject(place, reason)
        for done, case in enumerate(cases, 1):
            if row := job.convert(draft, case):
                draft.rows.append(row)
            if progress:
                progress(done, len(cases))
        if draft.rows:
            for row, fold in zip(draft.rows, group_folds([r["group"] for r in draft.rows], folds, seed), strict=True):
                row["split"], row["test_set"] = fold_split(fold, 0, folds)
                row["fold"] = fold
            if job.spacing:
                draft.info["spacing"] = dict(job.spacing)
                draft.info["notes"] = [*draft.info.get("notes", []), *_of_spacing(job.spacing)]
                for row in draft.rows:
                    row.setdefault("spacing_x_mm", "")
                    row.setdefault("spacing_y_mm", "")
            job.forget(audit.find_duplicates(draft, drop_duplicates, lambda row: files[row["case_id"]]))
        draft.info |= {
            "sides": {
                "rule": SIDE_RULE if folders else "by the ending _R or _L of the name; else not known",
                **Counter(row["side"] or "unknown" for row in draft.rows),
            },
            "metadata": _described(job.patients, draft.rows),
            "incomplete": job.incomplete,
            "corrections": job.corrections.log(),
            "converted_pictures": len(job.converted),
        }
    return index.load(out)


@dataclass
class _Job:
    """What all cases of one preparation have in common, and what is noted about them."""

    source: Path
    patients: PatientTable
    corrections: Corrections
    crop: str
    crop_margin: float
    classes: list[str]
    read: Callable[[Case], labels.Labels]
    spacing: Counter = field(default_factory=Counter)
    incomplete: dict[str, list[str]] = field(default_factory=dict)
    converted: set[str] = field(default_factory=set)

    def convert(self, draft: DatasetDraft, case: Case) -> dict[str, Any] | None:
        """Write one picture and its polygons; None, and a line in the list of rejected files, if it is of no use."""
        at_fault = case.label
        try:
            label = self.read(case)
            told, annotations = label.size, self.corrections.applied(case, label.annotations)
            for fault in label.faults:
                draft.reject(f"{relative(case.label, self.source)}: {fault}", "cannot be used; the others are kept")
            if not annotations:
                raise BadFile("holds no annotation")
            at_fault = case.image
            picture = pictures.read(case.image)
            at_fault, size = case.label, picture.pixels.shape[::-1]
            if told and told != size:
                raise BadFile(f"made on a picture of {told[0]} x {told[1]} pixels, this one has {size[0]} x {size[1]}")
            if not label.told_as_shown:
                _check_orientation(case.image, told)
            polygons, faulty = labels.usable(annotations, size, self.classes)
            for annotation, reason in faulty:
                draft.reject(f"{relative(case.label, self.source)}: {annotation}", reason)
            if not len(polygons.classes):
                raise BadFile("none of its annotations can be used")
            absent = [name for number, name in enumerate(self.classes) if number not in polygons.classes]
            place: dict[str, int] = {}
            if self.crop:
                picture, polygons, place = self._cropped(picture, polygons)
        except BadFile as error:
            draft.reject(relative(at_fault, self.source), str(error))
            return None
        if absent:
            self.incomplete[case.case_id] = absent
        if picture.converted:
            self.converted.add(case.case_id)
        return self._write(draft, case, picture, polygons) | place

    def forget(self, dropped: set[str]) -> None:
        """Take cases out of what was noted about them."""
        self.converted -= dropped
        self.incomplete = {case: names for case, names in self.incomplete.items() if case not in dropped}

    def _write(self, draft: DatasetDraft, case: Case, picture: Picture, polygons: PolygonSet) -> dict[str, Any]:
        image, label = f"images/{case.case_id}.png", f"polygons/{case.case_id}.json"
        draft.write_file(image, picture.png)
        draft.write_file(label, dump(polygons, self.classes).encode("utf-8"))
        patient = self.patients.patients.get(patient_key(case.patient or case.group), patient_table.Patient())
        if picture.spacing or case.image.suffix.casefold() == ".dcm":
            self.spacing[picture.spacing.tag if picture.spacing else "unknown"] += 1
        return {
            "case_id": case.case_id,
            "image": image,
            "label": label,
            "group": case.group,
            "image_name": case.image.name,
            "side": case.side,
            **asdict(patient),
            "width_px": polygons.size[0],
            "height_px": polygons.size[1],
            **({"spacing_x_mm": picture.spacing.x, "spacing_y_mm": picture.spacing.y} if picture.spacing else {}),
        }

    def _cropped(self, picture: Picture, polygons: PolygonSet) -> tuple[Picture, PolygonSet, dict[str, int]]:
        window = window_around(polygons, self.classes.index(self.crop), self.crop_margin)
        if window is None:
            raise BadFile(f"{self.crop}, around which is cropped, is not outlined")
        rows = slice(window.top, window.top + window.side)
        pixels = picture.pixels[rows, window.left : window.left + window.side].copy()
        part = Picture(pixels, images.encode_png(pixels), picture.converted, picture.spacing)
        return part, cropped(polygons, window), {"crop_left": window.left, "crop_top": window.top}


def _published(folders: list[Path]) -> Found:
    cases, problems = discover(folders)
    return Found(EXPECTED, cases, list(CLASSES), lambda case: labels.read(case.label), problems)


def _classes(asked: Sequence[str], found: Found) -> list[str]:
    """The classes in order; MedsegError where there are none, too many, or one twice."""
    names = [name.strip() for name in asked] or found.classes
    if twice := [name for name, count in Counter(names).items() if count > 1 or not name]:
        raise MedsegError(f"classes names {twice[0]!r} more than once, or not at all.")
    if not 0 < len(names) <= MAX_BIT_CLASSES:
        raise MedsegError(
            f"The data names {len(names)} classes ({listed(names)}); expected 1 to {MAX_BIT_CLASSES}. Name those that "
            "are wanted with the parameter classes; annotations of others are then listed and left out."
        )
    return names


def _check_orientation(image: Path, told: tuple[int, int] | None) -> None:
    """BadFile where an orientation tag leaves open whether outlines were drawn on the picture as stored or as shown."""
    tag = 1 if image.suffix.casefold() == ".dcm" else images.orientation(image)
    if tag != 1 and (told is None or tag < 5):
        raise BadFile(
            f"the orientation tag (EXIF) of its picture is {tag}: whether the outlines were drawn on the picture as "
            "stored or as turned cannot be known. Save the picture without the tag, turned as the outlines want it"
        )


def _of_spacing(counts: Counter) -> list[str]:
    known = ", ".join(f"{count} by {tag}" for tag, count in counts.items() if tag != "unknown")
    said = [f"The size of a pixel is known of DICOM pictures ({known or 'none'}; {counts['unknown']} tell none)."]
    if counts[spacing.TAGS[1]]:
        said.append(
            f"{spacing.TAGS[1]} is measured at the detector: distances in the body are smaller by its magnification."
        )
    return said


def _check(crop: str, crop_margin: float, classes: Sequence[str]) -> None:
    if crop and crop not in classes:
        raise MedsegError(
            f"There is no {crop!r} to crop around: it is {labels.not_a_class(crop, classes)}. They are "
            f"{', '.join(classes)}."
        )
    if not 0 <= crop_margin < float("inf"):
        raise MedsegError(f"The margin of the crop is {crop_margin}; expected a multiple of the bone's size, from 0.")


def _described(table: PatientTable, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """What became of the table of patients, for ``dataset.json``."""
    if table.file is None:
        return {"file": "", "note": "no table of patients"}
    present = {patient_key(row["group"]): row["group"] for row in rows}
    return {
        "file": table.file.name,
        "patients": len(table.patients),
        "not_in_table": [name for key, name in present.items() if key not in table.patients],
        "without_picture": len(set(table.patients) - set(present)),
    }
