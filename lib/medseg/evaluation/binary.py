"""Score a single-class predictor on every test case, at each picture's own size; the same for all frameworks."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medseg.datasets.frames import Frames
from medseg.datasets.index import PreparedDataset
from medseg.evaluation import common as scoring
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle
from medseg.metrics import saliency
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import with_overlap

#: Probability maps (H, W) in [0, 1], each at its picture's own size, of pictures (H, W, 3) uint8.
Predictor = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def evaluate(
    run: Run, predict: Predictor, dataset: PreparedDataset, *, threshold: float = 0.5, batch_size: int = 8
) -> pd.DataFrame:
    """Count every test case and write ``cases.csv``, ``predictions/TEST_SET.csv`` and the record's ``evaluation``.

    A pixel is predicted where its probability is above ``threshold``; nothing else is done to the mask.

    Returns:
        One row per case: test_set, case_id, group, class, tp, fp, fn, tn, dice, iou, precision, recall, which follow
        from the mask, and the columns of :data:`medseg.metrics.saliency.MEASURES`, which follow from the
        probabilities. The record has the latter for each test set, since not all of them are means over cases.

    Raises:
        MedsegError: the dataset has no test split, or is not the one that the run was trained on, or the network
            gives something else than probabilities.
    """
    cases = scoring.test_cases(run, dataset)
    started = time.monotonic()
    progress = Progress(run.folder)
    frames = Frames(dataset, cases, budget=0)
    counted, measured, encoded = [], [], []
    summaries: dict[str, saliency.SaliencySummary] = defaultdict(saliency.SaliencySummary)
    for first in range(0, len(cases), batch_size):
        numbers = range(first, min(first + batch_size, len(cases)))
        samples = [frames[number] for number in numbers]
        probabilities = predict([image for image, _ in samples])
        for number, (image, truth), probability in zip(numbers, samples, probabilities, strict=True):
            case = cases.iloc[number]
            if probability.shape != truth.shape:
                raise ValueError(f"{case['case_id']}: probabilities {probability.shape}, picture {image.shape[:2]}")
            scoring.check_finite(run, case["case_id"], probability)
            predicted = probability > threshold
            identity = {"test_set": case["test_set"], "class": dataset.info["classes"][0]}
            counted.append({**identity, "case_id": case["case_id"], "group": case["group"]})
            counted[-1].update(confusion_counts(predicted, truth)._asdict())
            measured.append(summaries[case["test_set"]].add(probability, truth))
            encoded.append({**identity, "image_name": case["case_id"], "rle": rle.encode(predicted)})
        done = numbers[-1] + 1
        progress.update(done, len(cases), f"scored {done} of {len(cases)} test cases")
    table = with_overlap(scoring.case_table(counted)).join(pd.DataFrame(measured))
    scoring.write(
        run,
        table,
        encoded,
        cases["case_id"],
        started,
        threshold=threshold,
        rule=f"probability above {threshold:g}, fixed in advance",
        saliency={
            "rule": saliency.RULE,
            "test_sets": {name: _for_json(summary.summary()) for name, summary in summaries.items()},
        },
    )
    return table


def _for_json(values: dict[str, float]) -> dict[str, float | None]:
    """``values`` with None for NaN, which JSON cannot hold."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
