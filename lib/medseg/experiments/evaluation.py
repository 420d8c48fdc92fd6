"""Score a predictor on every case of every test set, at each picture's own size; the same for all frameworks."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medseg.datasets.frames import Frames
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle
from medseg.metrics import saliency
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import check_complete, with_overlap

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
    if dataset.fingerprint != run.record["dataset"]["fingerprint"]:
        raise MedsegError(
            f"The run {run.id} was trained on a dataset with fingerprint {run.record['dataset']['fingerprint'][:8]}, "
            f"but {dataset.folder} has {dataset.fingerprint[:8]}: it was prepared anew. Train again, or restore it."
        )
    cases = dataset.split("test")
    if cases.empty:
        raise MedsegError(f"{dataset.info['name']} has no test cases. Prepare it with a protocol that names test sets.")
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
            if not np.isfinite(probability).all():
                raise MedsegError(
                    f"The network of run {run.id} gives no number for {case['case_id']}: its training diverged. Train "
                    "again with a lower learning rate, or in fp32."
                )
            predicted = probability > threshold
            identity = {"test_set": case["test_set"], "case_id": case["case_id"]}
            counted.append({**identity, "group": case["group"], "class": dataset.info["classes"][0]})
            counted[-1].update(confusion_counts(predicted, truth)._asdict())
            measured.append(summaries[case["test_set"]].add(probability, truth))
            encoded.append({**identity, "class": dataset.info["classes"][0], "rle": rle.encode(predicted)})
        done = numbers[-1] + 1
        progress.update(done, len(cases), f"scored {done} of {len(cases)} test cases")
    table = with_overlap(pd.DataFrame(counted)).join(pd.DataFrame(measured))
    check_complete(table, cases["case_id"])
    for test_set, rows in pd.DataFrame(encoded).groupby("test_set"):
        rows = rows.rename(columns={"case_id": "image_name"})[["image_name", "class", "rle"]]
        run.write_table(f"predictions/{test_set}.csv", rows)
    run.write_table("cases.csv", table)
    run.update(
        evaluation={
            "checkpoint": "best",
            "threshold": threshold,
            "rule": f"probability above {threshold:g}, fixed in advance",
            "scoring": "native resolution",
            "n_cases": {name: len(rows) for name, rows in table.groupby("test_set")},
            "saliency": {
                "rule": saliency.RULE,
                "test_sets": {name: _for_json(summary.summary()) for name, summary in summaries.items()},
            },
        },
        durations={
            **run.record.get("durations", {}),
            "evaluate_seconds": round(time.monotonic() - started, 1),
        },
        error=None,
    )
    return table


def _for_json(values: dict[str, float]) -> dict[str, float | None]:
    """``values`` with None for NaN, which JSON cannot hold."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
