"""Score a network of lesion phases: segmentation and the phase of each image, for every checkpoint and split."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medseg.datasets.frames import read_class_map
from medseg.datasets.index import SPLITS, PreparedDataset
from medseg.evaluation import common as scoring
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle
from medseg.metrics.classification import class_of_mask
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import with_overlap

#: Checkpoints that are compared; the first is the one whose test scores stand in ``cases.csv``.
CHECKPOINTS = ("best_loss", "best_iou", "latest")
LESION = "lesion"
PHASE_RULE = (
    "a pixel is lesion where the probabilities of phases 1 to 4 add up to more than {threshold:g}, and has the "
    "likeliest of these phases; an image has the phase of most of its lesion pixels, and phase 0, no lesion, where it "
    "has none"
)

#: Class probabilities (C, H, W) in [0, 1], background first, at each picture's own size, of pictures (H, W, 3) uint8.
PhasePredictor = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def class_map(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Classes (H, W) uint8 of probabilities (C, H, W): background where the others do not add up to more than
    ``threshold``, else the likeliest of the others.
    """
    lesion = probabilities[1:].sum(0) > threshold
    return np.where(lesion, probabilities[1:].argmax(0) + 1, 0).astype(np.uint8)


def evaluate(
    run: Run,
    predictor_of: Callable[[str], PhasePredictor],
    dataset: PreparedDataset,
    *,
    threshold: float = 0.5,
    batch_size: int = 4,
) -> pd.DataFrame:
    """Score every case of every split with every checkpoint.

    Writes ``checkpoints.csv`` (one row per checkpoint and case: checkpoint, split, case_id, group, true_phase,
    predicted_phase, tp, fp, fn, tn of the lesion, phases together), and of the first checkpoint on the test split
    ``cases.csv``, ``predictions/TEST_SET.csv`` (a mask per phase) and the record's ``evaluation``.

    Args:
        run: finished.
        predictor_of: gives the predictor of a checkpoint's name.
        dataset: the one it was trained on; labels are (H, W) uint8 of 0 and the phase.

    Returns:
        ``cases.csv``: test_set, case_id, group, class (``lesion``), tp, fp, fn, tn, true_phase, predicted_phase, dice,
        iou, precision, recall.

    Raises:
        MedsegError: the dataset has no test split or is not the run's own, or a network gives no numbers.
    """
    tests = scoring.test_cases(run, dataset)
    started = time.monotonic()
    progress = Progress(run.folder)
    rows, encoded = [], []
    total, done = len(CHECKPOINTS) * len(dataset.index), 0
    for checkpoint in CHECKPOINTS:
        predict = predictor_of(checkpoint)
        for split in reversed(SPLITS):
            cases = dataset.split(split)
            for first in range(0, len(cases), batch_size):
                batch = cases.iloc[first : first + batch_size]
                samples = [read_class_map(dataset, case) for _, case in batch.iterrows()]
                found = predict([picture for picture, _ in samples])
                for (_, case), (_, truth), probabilities in zip(batch.iterrows(), samples, found, strict=True):
                    scoring.check_finite(run, case["case_id"], probabilities)
                    predicted = class_map(probabilities, threshold)
                    rows.append(_row(checkpoint, case, truth, predicted, len(probabilities)))
                    if checkpoint == CHECKPOINTS[0] and split == "test":
                        encoded += _encoded(case, predicted, dataset.info["classes"])
                done += len(batch)
                progress.update(done, total, f"{checkpoint}, {split}: {done} of {total} pictures scored")
    table = pd.DataFrame(rows)
    run.write_table("checkpoints.csv", table)
    chosen = table[(table["checkpoint"] == CHECKPOINTS[0]) & (table["split"] == "test")]
    chosen = chosen.drop(columns=["checkpoint", "split"]).assign(**{"class": LESION})
    scored = with_overlap(scoring.case_table(chosen.to_dict("records")))
    scoring.write(
        run,
        scored,
        encoded,
        tests["case_id"],
        started,
        checkpoint="best loss",
        threshold=threshold,
        rule=f"sum of the probabilities of phases 1 to 4 above {threshold:g}, fixed in advance",
        phase_rule=PHASE_RULE.format(threshold=threshold),
    )
    return scored


def _row(checkpoint: str, case: pd.Series, truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict:
    return {
        "checkpoint": checkpoint,
        "split": case["split"],
        "test_set": case["test_set"],
        "case_id": case["case_id"],
        "group": case["group"],
        **confusion_counts(predicted > 0, truth > 0)._asdict(),
        "true_phase": int(case["phase"]),
        "predicted_phase": class_of_mask(predicted, classes),
    }


def _encoded(case: pd.Series, predicted: np.ndarray, classes: Sequence[str]) -> list[dict[str, str]]:
    identity = {"test_set": case["test_set"], "image_name": case["case_id"]}
    return [{**identity, "class": name, "rle": rle.encode(predicted == k)} for k, name in enumerate(classes, 1)]
