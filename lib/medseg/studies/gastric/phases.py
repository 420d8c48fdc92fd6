"""Reports on lesions and their phases, or other classes: segmentation and classification by checkpoint and split."""

from pathlib import Path

import numpy as np
import pandas as pd

from medseg.experiments.runs import Run
from medseg.metrics.classification import classify
from medseg.metrics.overlap import binary_iou, dice, iou, precision, recall
from medseg.reporting import measure_table, published_figures, statistics, style
from medseg.reporting.comparison import MOST, Comparison
from medseg.reporting.fragments import Cell, Column, Figure, Fragment, Row, Table, number, sentence, words
from medseg.studies.gastric.evaluation import CHECKPOINTS, classes_of
from medseg.studies.gastric.labels import CLASSES, title

SEGMENTATION = {
    "binary_iou": "binary IoU", "lesion_iou": "lesion IoU", "recall": "recall", "precision": "precision", "f1": "F1",
}  # fmt: skip
CLASSIFICATION = {"accuracy": "accuracy", "recall": "recall", "precision": "precision", "f1": "F1"}
_TASKS = {"segmentation": SEGMENTATION, "classification": CLASSIFICATION}
_BROUGHT = "All of these runs were brought from elsewhere: there are no checkpoints to compare."
_SPLITS = ("test", "validation", "train")
_PUBLISHED_COLUMNS = ("model", "split", "checkpoint", "task", "metric", "value", "source")
_DEFINITIONS = (
    "Segmentation counts the pixels of all pictures of a split together, {all} as one lesion: lesion IoU is "
    "TP / (TP + FP + FN), binary IoU the mean of it and the IoU of the background (0.5 for nothing found), F1 the "
    "pooled Dice. Classification: recall, precision and F1 are plain means over the {one} that occur."
)


def figures(run: Run) -> pd.DataFrame:
    """Every measure of a run: one row per checkpoint, split and task, with a column per measure.

    Raises MedsegError: the run has no readable ``checkpoints.csv``.
    """
    table = run.table("checkpoints.csv", "score it with 3_evaluate")
    rows = []
    for (checkpoint, split), cases in table.groupby(["checkpoint", "split"], sort=False):
        tp, fp, fn, tn = (int(cases[name].sum()) for name in ("tp", "fp", "fn", "tn"))
        overlap = {"lesion_iou": iou, "recall": recall, "precision": precision, "f1": dice}
        segmentation = {name: measure(tp, fp, fn) for name, measure in overlap.items()}
        phases = classify(cases["true_phase"], cases["predicted_phase"], 1 + len(classes_of(run)))
        identity = {"checkpoint": checkpoint, "split": split, "n": len(cases)}
        rows.append({**identity, "task": "segmentation", "binary_iou": binary_iou(tp, fp, fn, tn), **segmentation})
        rows.append({**identity, "task": "classification", **{name: getattr(phases, name) for name in CLASSIFICATION}})
    return pd.DataFrame(rows)


def bars(comparison: Comparison, task: str) -> Figure | Fragment:
    """Measures of the best configuration (first seed) as grouped bars: a panel per split, a colour per checkpoint.

    Of those trained here; where there is none, a sentence says so, here as in the others.
    """
    if not (comparison := comparison.trained).configurations:
        return sentence(_BROUGHT)
    configuration = statistics.best(comparison, comparison.test_sets[0])
    found = figures(configuration.runs[0]).query("task == @task").set_index(["split", "checkpoint"])
    measures, described = _TASKS[task], []
    with style.canvas(280) as canvas:
        panels = canvas.subplots(1, len(_SPLITS), sharey=True)
        for axes, split in zip(panels, _SPLITS, strict=True):
            for place, checkpoint in enumerate(CHECKPOINTS):
                values = found.loc[(split, checkpoint), list(measures)].to_numpy(float)
                at = np.arange(len(measures)) + (place - 1) * 0.27
                axes.bar(at, values, 0.25, color=style.colour(place), label=checkpoint.replace("_", " "))
            axes.set_xticks(range(len(measures)), [title.replace(" ", "\n") for title in measures.values()])
            axes.set_title(f"{split}, n = {int(found.loc[(split, CHECKPOINTS[0]), 'n'])}")
            axes.set_ylim(0, 1)
            style.plain(axes)
            first = next(iter(measures))
            described.append(f"{split}: {measures[first]} {found.loc[(split, CHECKPOINTS[0]), first]:.2f}")
        canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        caption = f"{task.capitalize()} by {configuration.label}: the three checkpoints on every split."
        alt = f"{task.capitalize()} with the checkpoint of best loss, {', '.join(described)}."
        return style.finish(canvas, caption, alt)


def table(comparison: Comparison, published: str | Path) -> Fragment:
    """Test-set measures of every configuration with every checkpoint, the published figures beside.

    ``published`` is a CSV with the columns model, split, checkpoint, task, metric, value, source; shown where the
    classes are the published ones.
    """
    brought = [c.name for c in comparison.configurations if c.brought]
    if not (comparison := comparison.trained).configurations:
        return sentence(_BROUGHT)
    phases = all(tuple(classes_of(run)) == CLASSES for run in comparison.runs)
    known = published_figures.read(published, _PUBLISHED_COLUMNS)
    known = known if phases else known.iloc[:0]  # of four phases, they say nothing of other classes
    measures = [(task, name, title) for task, measures in _TASKS.items() for name, title in measures.items()]
    columns = [
        *words("Configuration", "Checkpoint"),
        *(Column(title, task.capitalize()) for task, _, title in measures),
    ]
    rows = []
    for c in comparison.configurations:
        found = pd.concat([figures(run) for run in c.runs]).query("split == 'test'")
        for checkpoint in CHECKPOINTS:
            cells = [Cell(c.name, note=c.details), Cell(checkpoint.replace("_", " "))]
            for task, name, _ in measures:
                own = found.loc[(found["task"] == task) & (found["checkpoint"] == checkpoint), name]
                cells.append(number(own.mean(), note=f"± {own.std():.3f}" if len(own) > 1 else ""))
            rows.append(Row(cells, folded=c.number >= MOST))
    for (model, split, checkpoint), own in known.groupby(["model", "split", "checkpoint"], sort=False):
        values = own.set_index(["task", "metric"])["value"]
        cells = [number(values[task, name]) if (task, name) in values.index else Cell("") for task, name, _ in measures]
        named = Cell(model, note=f"published, {split} set"), Cell(checkpoint.replace("_", " "))
        rows.append(Row([*named, *cells], muted=True))
    words_for = {"all": "phases 1 to 4", "one": "phases"} if phases else {"all": "all classes", "one": "classes"}
    rule = measure_table.distinct(comparison.records, "evaluation", "phase_rule")
    notes = [
        _DEFINITIONS.format(**words_for),
        f"From probabilities to {words_for['one']}: {rule}.",
        *measure_table.notes(comparison),
        *([f"Without {', '.join(brought)}, brought from elsewhere: it has no checkpoints."] if brought else []),
    ]
    if phases:
        sources = "; ".join(dict.fromkeys(known["source"]))
        notes.append(f"Published figures: {sources}; other data, for orientation.")
    return Table("Test set", columns, rows, notes).fragment()


def confusion(comparison: Comparison) -> Figure | Fragment:
    """True against predicted class of the test images, for the best configuration and its checkpoint of best loss."""
    if not (comparison := comparison.trained).configurations:
        return sentence(_BROUGHT)
    configuration = statistics.best(comparison, comparison.test_sets[0])
    cases = configuration.cases[0]
    classes = classes_of(configuration.runs[0])
    names = [title(classes, number) for number in range(1 + len(classes))]
    found = classify(cases["true_phase"], cases["predicted_phase"], len(names))
    share = found.matrix / np.maximum(found.matrix.sum(1, keepdims=True), 1)
    larger = 40 * max(len(names) - 5, 0)  # pixels, so that every class keeps its room
    with style.canvas(330 + larger, 420 + larger) as canvas:
        axes = canvas.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(share.shape):
            ink = "white" if share[row, column] > 0.6 else style.INK
            axes.text(column, row, str(found.matrix[row, column]), ha="center", va="center", color=ink)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        what = "Phase" if tuple(classes) == CLASSES else "Class"
        caption = f"{what} of each test image by {configuration.label}; shade: share of the row."
        right = int(np.trace(found.matrix))
        alt = f"Confusion matrix of {int(found.matrix.sum())} images; {right} are on its diagonal."
        return style.finish(canvas, caption, alt)
