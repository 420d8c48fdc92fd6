"""The tables that the preparation of the gastric study writes beside the index, and what it notes in dataset.json."""

from typing import Any

import pandas as pd

from medseg.datasets import cvat
from medseg.datasets.index import DatasetDraft
from medseg.names import joined
from medseg.studies.gastric.cases import Job
from medseg.studies.gastric.labels import colours, title


def count_phases(draft: DatasetDraft, shares: dict[str, float]) -> None:
    """Note how many pictures of each class, 0 for none, every split has, and which class one lacks."""
    classes = draft.info["classes"]
    numbers = range(1, len(classes) + 1)
    phases, placed = ([row[key] for row in draft.rows] for key in ("phase", "split"))
    table = pd.crosstab(pd.Series(phases), pd.Series(placed))
    table = table.reindex(index=[0, *numbers], columns=[name for name in shares if shares[name]], fill_value=0)
    draft.info["phases"] = {name: {str(phase): int(n) for phase, n in table[name].items()} for name in table}
    for phase in numbers:
        lacking = [name for name in table if not table.loc[phase, name]]
        if lacking and table.loc[phase].any():
            draft.info["notes"].append(
                f"No picture of {title(classes, phase)} is in {joined(lacking)}: too few patients."
            )


def write(job: Job) -> None:
    """Write labels.csv, files.csv and annotations.xml, and note what was done about burned-in text."""
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
    names = job.recipe.classes
    shown = {names[number - 1]: "#{:02x}{:02x}{:02x}".format(*colour) for number, colour in colours(names).items()}
    draft.write_file("annotations.xml", cvat.dump(job.annotations, shown, "gastric").encode())


def _described_overlays(job: Job) -> dict[str, dict[str, Any]]:
    """For each size of picture, how many there are and the box of what was kept (left, top, width, height)."""
    return {
        f"{size[0]}x{size[1]}": {"pictures": job.sizes[size], "kept": job.overlay_on(size).kept}
        for size in sorted(job.sizes)
    }
