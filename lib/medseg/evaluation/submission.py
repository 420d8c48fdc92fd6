"""From a submission to its scores where the truth is known."""

from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project, registry
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.common import case_table
from medseg.masks import rle, submission
from medseg.metrics.overlap import confusion_counts, with_overlap


def score(path: Path, dataset: PreparedDataset) -> pd.DataFrame:
    """Score a submission on the test split of a dataset: one row per case and class, as ``cases.csv``.

    A :class:`MedsegError` where a mask of a test picture is missing, or does not fit its picture.
    """
    kind = kinds.of(registry.find(dataset.info["study"]).label, dataset.info["classes"])
    masks = {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
    counted = []
    for _, case in dataset.split("test").iterrows():
        picture, label = kind.read(dataset, case)
        image_name = case.get("image_name", case["case_id"])
        for name, truth in kind.true_pieces(label):
            if (image_name, name) not in masks:
                raise MedsegError(
                    f"{project.display(path)} has no mask of {name} for {image_name}, which is a test picture "
                    f"of {project.display(dataset.folder)}. Was it predicted for another fold?"
                )
            predicted = rle.decode(masks[image_name, name], picture.shape[:2]).astype(np.uint8)
            identity = {key: case[key] for key in ("test_set", "case_id", "group")}
            counted.append({**identity, "class": name, **confusion_counts(predicted, truth)._asdict()})
    return with_overlap(case_table(counted))
