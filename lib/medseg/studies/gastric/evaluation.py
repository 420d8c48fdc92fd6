"""Score a network of lesion phases, or of other classes: segmentation and the class of each image."""

import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.evaluation import kinds, rules
from medseg.evaluation.common import case_table, test_cases, write
from medseg.evaluation.detail import Detail
from medseg.evaluation.evaluator import scored_cases
from medseg.evaluation.kinds import ClassMap, Predictor
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.metrics.classification import class_of_mask
from medseg.studies.gastric.labels import CLASSES

#: Checkpoints that are compared; the first is the one whose test scores stand in ``cases.csv``.
CHECKPOINTS = ("best_loss", "best_iou", "latest")
LESION = "lesion"
PHASE_RULE = (
    "a pixel is lesion where the probabilities of phases 1 to 4 add up to more than {threshold}, and has the "
    "likeliest of these phases; an image has the phase of most of its lesion pixels, and phase 0, no lesion, where it "
    "has none"
)
CLASS_RULE = (
    "a pixel is lesion where the probabilities of all classes add up to more than {threshold}, and has the likeliest "
    "of them; an image has the class of most of its lesion pixels, and none where it has no such pixel"
)


def classes_of(run: Run) -> list[str]:
    """Names of the classes that a run was trained on."""
    return list(run.record["dataset"].get("classes") or CLASSES)


def segmenter(
    run: Run, predict: Predictor, dataset: PreparedDataset, *, threshold: float = 0.5, batch_size: int = 4
) -> rules.Segmenter:
    """As :func:`medseg.evaluation.rules.segmenter`, with the words of this study."""
    classes = dataset.info["classes"]
    summed = "phases 1 to 4" if tuple(classes) == CLASSES else "all classes"
    kind = ClassMap(classes, f"sum of the probabilities of {summed}", LESION)
    return rules.segmenter(run, predict, dataset, threshold=threshold, batch_size=batch_size, kind=kind)


def evaluate(
    run: Run,
    predictor_of: Callable[[str], Predictor],
    dataset: PreparedDataset,
    *,
    threshold: float = 0.5,
    tolerance: float = 2.0,
    batch_size: int = 4,
) -> pd.DataFrame:
    """Score every case of every split with every checkpoint.

    Writes ``checkpoints.csv`` (one row per checkpoint and case: checkpoint, threshold, split, and the columns of
    ``cases.csv``), and of the first checkpoint on the test split ``cases.csv``, ``predictions/TEST_SET.csv`` (a mask
    per phase) and the record's ``evaluation``. Raises MedsegError: the dataset has no test split or is not the run's
    own, or a network gives no numbers.

    Args:
        run: finished; its parameters say by which rules masks are made. Thresholds are fitted for each checkpoint.
        predictor_of: gives the predictor of a checkpoint's name.
        dataset: the one it was trained on; labels are (H, W) uint8 of 0 and the phase.
        threshold: of the sum of the phases' probabilities, where thresholds are not fitted.
        tolerance: of the surface Dice, pixels of the picture.

    Returns:
        ``cases.csv``: test_set, case_id, group, class (``lesion``), tp, fp, fn, tn, the measures of class maps (see
        :mod:`medseg.evaluation.measures`), class_accuracy (1 or 0), true_phase and predicted_phase (the number of the
        class, 0 for none, whatever the classes are called).
    """
    tests = test_cases(run, dataset)
    started = time.monotonic()
    progress = Progress(run.folder)
    phases = 1 + len(dataset.info["classes"])
    rows, encoded, detail = [], [], Detail(kinds.of("class_map", dataset.info["classes"]))
    described: dict[str, Any] = {}
    for checkpoint in CHECKPOINTS:
        segment = segmenter(run, predictor_of(checkpoint), dataset, threshold=threshold, batch_size=batch_size)
        described = described or segment.described()
        for split in reversed(SPLITS):
            found = scored_cases(
                segment,
                dataset,
                dataset.split(split),
                tolerance=tolerance,
                batch_size=batch_size,
                detail=detail if (checkpoint, split) == (CHECKPOINTS[0], "test") else None,
            )
            for scored in found:
                identity = {"checkpoint": checkpoint, "threshold": segment.thresholds[0], "split": split}
                true, predicted = scored.case["phase"], class_of_mask(scored.mask, phases)
                phase = {"class_accuracy": float(true == predicted), "true_phase": true, "predicted_phase": predicted}
                rows += [{**identity, **row, **phase} for row in scored.rows]
                if checkpoint == CHECKPOINTS[0] and split == "test":
                    encoded += scored.encoded
                total = len(CHECKPOINTS) * len(dataset.index)
                progress.update(len(rows), total, f"{checkpoint}, {split}: {len(rows)} of {total} pictures scored")
    table = pd.DataFrame(rows)
    run.write_table("checkpoints.csv", table)
    chosen = table[(table["checkpoint"] == CHECKPOINTS[0]) & (table["split"] == "test")]
    cases = case_table(chosen.drop(columns=["checkpoint", "threshold", "split"]).to_dict("records"))
    further = {**described, "checkpoint": "best loss", "surface_tolerance_px": tolerance}
    rule = PHASE_RULE if tuple(dataset.info["classes"]) == CLASSES else CLASS_RULE
    phase_rule = rule.format(threshold=described["threshold"])
    write(run, cases, encoded, tests["case_id"], started, detail.tables(), **further, phase_rule=phase_rule)
    return cases
