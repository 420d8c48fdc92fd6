"""The folds of a prepared hand-bone dataset: who is in them, and what was noted about the data."""

import numpy as np
import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.reporting import style
from medseg.reporting.fragments import Cell, Figure, Fragment, Table, numeric, sentence, words

_SEXES = {"F": ("women", style.PALETTE[1]), "M": ("men", style.PALETTE[0]), "": ("sex not known", style.MUTED)}
_NAMED = 12  # patients or pictures that are listed by name


def folds(dataset: PreparedDataset) -> Fragment:
    """Pictures and patients of every fold, and what each fold is for at first."""
    rows = []
    for fold, part in dataset.index.groupby("fold"):
        patients = part.groupby("group").first()
        ages = pd.to_numeric(patients["age"], errors="coerce").dropna()
        described = f"{ages.median():.0f} ({ages.min():.0f} to {ages.max():.0f})" if len(ages) else "not known"
        sexes = [int((patients["sex"] == sex).sum()) for sex in _SEXES]
        counts = (len(part), len(patients), *sexes)
        cells = [Cell(str(fold), float(fold)), Cell(part["split"].iloc[0]), *(Cell(f"{n:,}", n) for n in counts)]
        rows.append([*cells, Cell(described, ages.median() if len(ages) else None)])
    by_sex = [name for name, _ in _SEXES.values()]
    columns = words("fold", "split") + numeric("pictures", "patients", *by_sex, "age, median (range)")
    notes = ["A training may hold out another fold; validation is then the one after it."]
    return Table("Folds by patient", columns, rows, notes).fragment()


def ages(dataset: PreparedDataset) -> Figure | Fragment:
    """Age of every patient, by fold and sex; words where no age is known."""
    patients = dataset.index.groupby("group").first()
    patients = patients.assign(age=pd.to_numeric(patients["age"], errors="coerce"))
    unknown = int(patients["age"].isna().sum())
    patients = patients.dropna(subset="age")
    if patients.empty:
        return sentence(
            "Nothing is known of the patients' ages: the data came without a table of patients, or without ages."
        )
    split_of = dict(zip(dataset.index["fold"], dataset.index["split"], strict=True))
    present = sorted(split_of)
    with style.canvas(70 + 46 * len(present), 720) as figure:
        axes = figure.subplots()
        for sex, (name, colour) in _SEXES.items():
            part = patients[patients["sex"] == sex]
            if len(part):  # women above men, so that equal ages do not hide each other
                height = np.searchsorted(present, part["fold"]) + {"F": -0.12, "M": 0.12}.get(sex, 0.0)
                axes.scatter(part["age"], height, 30, colour, alpha=0.7, linewidths=0, label=f"{name} ({len(part)})")
        for place, fold in enumerate(present):
            middle = patients.loc[patients["fold"] == fold, "age"].median()
            axes.plot([middle] * 2, [place - 0.3, place + 0.3], color=style.INK)
        style.name_rows(axes, [f"fold {fold}: {split_of[fold]}" for fold in present])
        axes.set_xlabel("age, years")
        style.plain(axes, "x")
        figure.legend(loc="outside upper left", ncols=3)
        rest = f" {unknown} patient(s) of unknown age are not shown." if unknown else ""
        medians = patients.groupby("fold")["age"].median()
        return style.finish(
            figure,
            f"Each dot is a patient; the bar is the median of the fold.{rest}",
            "Ages by fold, medians: " + ", ".join(f"fold {fold} {age:.0f} years" for fold, age in medians.items()),
        )


def findings(dataset: PreparedDataset) -> Fragment:
    """What the preparation noted without leaving anything out: absent bones, patients without facts, corrections."""
    info = dataset.info
    metadata, sides, listed = info["metadata"], info["sides"], info["corrections"]
    unknown, outside = sides.get("unknown", 0), metadata.get("not_in_table", [])
    applied = sum(entry["applied"] for entry in listed)
    failed = [f"{e['file']}, annotation {e['annotation']}: {e['reason']}" for e in listed if not e["applied"]]
    incomplete = [f"{case}: {_few(bones)}" for case, bones in info["incomplete"].items()]
    facts = [
        ("pictures in which a class is not outlined", len(incomplete), _few(incomplete, "; ")),
        ("pictures converted to 8-bit grey", info["converted_pictures"], ""),
        ("right, left hands", f"{sides.get('R', 0)}, {sides.get('L', 0)}", f"{unknown} not known" if unknown else ""),
        ("patients in the table", metadata.get("patients", 0), metadata["file"] or "there is no table"),
        ("patients who are not in it", len(outside), _few(outside)),
        ("labels corrected", f"{applied} of {len(listed)}", _few(failed, "; ")),
    ]
    rows = [[Cell(str(entry)) for entry in fact] for fact in facts]
    return Table("Noted and kept", words("") + numeric("number") + words("which"), rows, sortable=False).fragment()


def _few(names: list[str], joint: str = ", ") -> str:
    more = f"{joint}and {len(names) - _NAMED} more (dataset.json)" if len(names) > _NAMED else ""
    return joint.join(names[:_NAMED]) + more
