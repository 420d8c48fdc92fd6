"""Pictures of lesion phases, or of other classes: what was prepared, what a network finds, patient by patient."""

import base64
import io
from html import escape

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from medseg.datasets.frames import read_rgb
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation.rules import Segmenter
from medseg.experiments.runs import Run, dataset_of, predictions_of
from medseg.masks import outlines
from medseg.metrics.classification import class_of_mask
from medseg.reporting import samples, statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Column, Figure, Fragment, Table, number, numeric, sentence, words
from medseg.reporting.gallery import legend, predicted_masks
from medseg.studies.gastric.evaluation import classes_of
from medseg.studies.gastric.labels import CLASSES, colours, title

_HEIGHT = 240  # pixels
_NEAREST = cv2.INTER_NEAREST_EXACT
_MILLISECONDS = 900  # a picture stays
_BAND = 24  # pixels above the pictures, for the text


def counts(dataset: PreparedDataset) -> Fragment:
    """Pictures of every phase or class in every split, and the share of the picture that their lesions cover."""
    classes = dataset.info["classes"]
    what = "Phase" if tuple(classes) == CLASSES else "Class"
    rows = []
    for phase in range(len(classes) + 1):
        part = dataset.index[dataset.index["phase"] == phase]
        cells = [Cell(title(classes, phase) if phase else "0, no lesion")]
        cells += [number(int((part["split"] == split).sum()), 0) for split in SPLITS]
        cells.append(number(part["group"].nunique(), 0))
        rows.append([*cells, number(100 * part["lesion_fraction"].median() if phase and len(part) else None, 1)])
    columns = words(what) + [Column(split, "pictures") for split in SPLITS] + numeric("Patients", "Median area, %")
    return Table("Phases" if what == "Phase" else "Classes", columns, rows, sortable=False).fragment()


def inspected(dataset: PreparedDataset) -> Figure | Fragment:
    """The four-in-one picture of a case of each class, as the preparation wrote it."""
    files = pd.read_csv(dataset.folder / "files.csv", keep_default_na=False).set_index("case_id")
    cases = dataset.index[dataset.index["phase"] > 0].drop_duplicates("phase").sort_values("phase")
    if "inspector" not in files or not (files["inspector"] != "").any():
        return sentence("No four-in-one pictures were asked for (outputs has no 'inspector').")
    titles = [title(dataset.info["classes"], phase) for phase in cases["phase"]]
    found = [read_rgb(dataset.folder / files.loc[case, "inspector"]) for case in cases["case_id"]]
    pictures = [samples.shrunk(picture, 960) for picture in found]
    rows = [pictures[i : i + 2] for i in range(0, len(pictures), 2)]
    if len(rows[-1]) < len(rows[0]):
        rows[-1].append(np.zeros_like(rows[-1][0]))
    return samples.grid(
        rows,
        [", ".join(titles[i : i + 2]) for i in range(0, len(titles), 2)],
        [""] * len(rows[0]),
        "Original, mask, outline on the picture, and cleaned picture of one case of each class.",
        f"{len(pictures)} four-in-one pictures: {', '.join(titles)}.",
        row_height=330,
    )


def predictions(dataset: PreparedDataset, cases: pd.DataFrame, segment: Segmenter) -> Figure:
    """As :func:`medseg.reporting.samples.predictions`, with the true and the predicted class of each picture."""
    classes = dataset.info["classes"]

    def phases(case: pd.Series, mask: np.ndarray) -> str:
        found = class_of_mask(mask, 1 + len(classes))
        if tuple(classes) == CLASSES:
            return f"phase {case['phase']}, predicted {found}"
        return f"{title(classes, case['phase'])}, predicted {title(classes, found)}"

    return samples.predictions(dataset, cases, segment, phases)


def animation(comparison: Comparison, group: str = "") -> Fragment:
    """Truth beside prediction over a test patient's pictures, for the best configuration (first seed).

    ``group`` is the patient; empty: the one with most test pictures. Where the pictures are gone, a line says so.
    """
    test_set = comparison.test_sets[0]
    configuration = statistics.best(comparison, test_set)
    run = configuration.runs[0]
    try:
        cases = run.cases().query("test_set == @test_set")
        group = group or cases["group"].value_counts(sort=True).sort_index(kind="stable").idxmax()
        frames = _frames(run, test_set, group)
    except MedsegError as error:
        return sentence(f"No animation: {error}")
    classes = classes_of(run)
    what = "phase" if tuple(classes) == CLASSES else "class"
    several = "phases" if what == "phase" else "classes"
    alt = f"Animation of {len(frames)} pictures of patient {group}: true {several} left, predicted {several} right."
    data = base64.b64encode(encode(frames)).decode()
    caption = f"{configuration.label}, patient {group}: truth left, prediction right; a colour per {what}."
    phases = legend({title(classes, number): colour for number, colour in colours(classes).items()})
    html = (
        f'<figure><img src="data:image/gif;base64,{data}" alt="{escape(alt)}" width="{frames[0].shape[1]}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>{phases}"
    )
    return Fragment(html, f"{alt} {caption}")


def encode(frames: list[np.ndarray]) -> bytes:
    """An endless GIF of RGB frames (H, W, 3) uint8 of one size."""
    pictures = [Image.fromarray(frame).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "gif", save_all=True, append_images=pictures[1:], duration=_MILLISECONDS, loop=0)
    return buffer.getvalue()


def _frames(run: Run, test_set: str, group: str) -> list[np.ndarray]:
    dataset, predicted = dataset_of(run), predictions_of(run, test_set)
    kind = samples.kind_of(dataset)
    rows = dataset.index[(dataset.index["group"] == group) & (dataset.index["split"] == "test")]
    frames = []
    for _, case in rows.iterrows():
        picture, label = kind.read(dataset, case)
        truth = np.stack([mask for _, mask in kind.true_pieces(label)])
        found = np.stack(list(predicted_masks(predicted, case, kind.classes, label.shape)))
        frames.append(_frame(picture, truth, found, case["case_id"]))
    if not frames:
        raise MedsegError(f"there is no test picture of patient {group}.")
    width = max(frame.shape[1] for frame in frames)
    return [np.pad(frame, ((0, 0), (0, width - frame.shape[1]), (0, 0))) for frame in frames]


def _frame(picture: np.ndarray, truth: np.ndarray, found: np.ndarray, name: str) -> np.ndarray:
    size = round(_HEIGHT * picture.shape[1] / picture.shape[0]), _HEIGHT
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    halves = [
        outlines.tint(small, np.stack([cv2.resize(m.astype(np.uint8), size, interpolation=_NEAREST) for m in masks]))
        for masks in (truth, found)
    ]
    frame = np.vstack([np.zeros((_BAND, 2 * size[0], 3), np.uint8), np.hstack(halves)])
    cv2.putText(frame, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (225, 225, 225), 1, cv2.LINE_AA)
    return frame
