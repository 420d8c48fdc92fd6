"""Pictures and counts of a dataset of lesion phases: what goes into a network, what comes out."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medseg.datasets.frames import read_class_map, read_rgb
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.evaluation.rules import Segmenter
from medseg.metrics.classification import class_of_mask
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import dice
from medseg.reporting import samples
from medseg.reporting.fragments import Figure, Fragment
from medseg.reporting.tables import Cell, Column, Row, Table, number
from medseg.studies.gastric.labels import COLOURS

_OPACITY = 0.45
_LEGEND = "light blue: phase 1, green: 2, orange: 3, pink: 4"


def counts(dataset: PreparedDataset) -> Fragment:
    """Pictures of every phase in every split, and the share of the picture that the lesions cover."""
    rows = []
    for phase in range(len(dataset.info["classes"]) + 1):
        part = dataset.index[dataset.index["phase"] == phase]
        cells = [Cell(f"phase {phase}" if phase else "0, no lesion")]
        cells += [number(int((part["split"] == split).sum()), 0) for split in SPLITS]
        cells.append(number(part["group"].nunique(), 0))
        cells.append(number(100 * part["lesion_fraction"].median() if phase and len(part) else None, 1))
        rows.append(Row(cells))
    columns = [Column("Phase", numeric=False), *(Column(split, "pictures") for split in SPLITS)]
    columns += [Column("Patients"), Column("Median area, %")]
    return Table("Phases", columns, rows, sortable=False).fragment()


def inspected(dataset: PreparedDataset) -> Figure | Fragment:
    """The four-in-one picture of a case of each phase, as the preparation wrote it."""
    files = pd.read_csv(dataset.folder / "files.csv", keep_default_na=False).set_index("case_id")
    cases = dataset.index[dataset.index["phase"] > 0].drop_duplicates("phase").sort_values("phase")
    if "inspector" not in files or not (files["inspector"] != "").any():
        text = "No four-in-one pictures were asked for (outputs has no 'inspector')."
        return Fragment(f"<p>{text}</p>", text)
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


def augmented(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    titles: Sequence[str],
    augment: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
    draws: int = 3,
) -> Figure:
    """Each picture with its phases in colour, as it is and as augmentation draws it in the first epochs.

    Args:
        pairs: pictures (H, W, 3) uint8 and classes (H, W) uint8.
        titles: of each pair.
        augment: gives picture and classes of (epoch, number of the pair).
    """
    rows = []
    for place, pair in enumerate(pairs):
        drawn = [pair, *(augment(epoch, place) for epoch in range(draws))]
        rows.append([samples.shrunk(coloured(*each)) for each in drawn])
    return samples.grid(
        rows,
        titles,
        ("as it is", *(f"drawn for epoch {epoch + 1}" for epoch in range(draws))),
        f"Training pictures as they are and as the network gets them; {_LEGEND}.",
        f"{len(rows)} training pictures beside {draws} augmented versions of each, lesions in colour.",
    )


def predictions(dataset: PreparedDataset, cases: pd.DataFrame, segment: Segmenter) -> Figure:
    """Each case with its true and its predicted phases by the run's rules, at its own size."""
    rows, names = [], []
    for _, case in cases.iterrows():
        picture, truth = read_class_map(dataset, case)
        found, probability = segment(picture, case["case_id"])
        c = confusion_counts(found > 0, truth > 0)
        phases = f"phase {case['phase']}, predicted {class_of_mask(found, 1 + len(dataset.info['classes']))}"
        names.append(f"{case['case_id']}\n{phases}\nDice {dice(c.tp, c.fp, c.fn):.2f}")
        heat = (255 * probability).astype(np.uint8)
        rows.append([samples.shrunk(each) for each in (coloured(picture, truth), heat, coloured(picture, found))])
    return samples.grid(
        rows,
        names,
        ("truth", "probability of a lesion", "prediction"),
        f"Predictions at each picture's own size; {_LEGEND}. Dice of the lesion in these pictures alone.",
        f"{len(rows)} pictures with true phases, probability and predicted phases.",
    )


def coloured(picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """``picture`` (H, W, 3) uint8 with the pixels of every phase in ``classes`` (H, W) tinted."""
    drawn = picture.astype(np.float32)
    for phase, colour in COLOURS.items():
        drawn[classes == phase] = (1 - _OPACITY) * drawn[classes == phase] + _OPACITY * np.float32(colour)
    return drawn.round().astype(np.uint8)
