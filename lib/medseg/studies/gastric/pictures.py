"""Pictures and counts of a dataset of lesion phases: what was prepared, what comes out of a network."""

import numpy as np
import pandas as pd

from medseg.datasets.frames import read_rgb
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.evaluation.rules import Segmenter
from medseg.metrics.classification import class_of_mask
from medseg.reporting import samples
from medseg.reporting.fragments import Figure, Fragment, sentence
from medseg.reporting.tables import Cell, Column, Table, number, words


def counts(dataset: PreparedDataset) -> Fragment:
    """Pictures of every phase in every split, and the share of the picture that the lesions cover."""
    rows = []
    for phase in range(len(dataset.info["classes"]) + 1):
        part = dataset.index[dataset.index["phase"] == phase]
        cells = [Cell(f"phase {phase}" if phase else "0, no lesion")]
        cells += [number(int((part["split"] == split).sum()), 0) for split in SPLITS]
        cells.append(number(part["group"].nunique(), 0))
        rows.append([*cells, number(100 * part["lesion_fraction"].median() if phase and len(part) else None, 1)])
    columns = [*words("Phase"), *(Column(split, "pictures") for split in SPLITS), "Patients", "Median area, %"]
    return Table("Phases", columns, rows, sortable=False).fragment()


def inspected(dataset: PreparedDataset) -> Figure | Fragment:
    """The four-in-one picture of a case of each phase, as the preparation wrote it."""
    files = pd.read_csv(dataset.folder / "files.csv", keep_default_na=False).set_index("case_id")
    cases = dataset.index[dataset.index["phase"] > 0].drop_duplicates("phase").sort_values("phase")
    if "inspector" not in files or not (files["inspector"] != "").any():
        return sentence("No four-in-one pictures were asked for (outputs has no 'inspector').")
    pictures = [read_rgb(dataset.folder / files.loc[case, "inspector"]) for case in cases["case_id"]]
    titles = [f"phase {phase}" for phase in cases["phase"]]
    reduced = [samples.shrunk(picture, 960) for picture in pictures]
    rows = [reduced[i : i + 2] for i in range(0, len(reduced), 2)]
    if len(rows[-1]) < len(rows[0]):
        rows[-1].append(np.zeros_like(rows[-1][0]))
    return samples.grid(
        rows,
        [", ".join(titles[i : i + 2]) for i in range(0, len(titles), 2)],
        [""] * len(rows[0]),
        "Original, mask, outline on the picture, and cleaned picture of one case of each phase.",
        f"{len(pictures)} four-in-one pictures: {', '.join(titles)}.",
        row_height=330,
    )


def predictions(dataset: PreparedDataset, cases: pd.DataFrame, segment: Segmenter) -> Figure:
    """As :func:`medseg.reporting.samples.predictions`, with the true and the predicted phase of each picture."""

    def phases(case: pd.Series, mask: np.ndarray) -> str:
        return f"phase {case['phase']}, predicted {class_of_mask(mask, 1 + len(dataset.info['classes']))}"

    return samples.predictions(dataset, cases, segment, phases)
