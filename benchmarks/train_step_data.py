"""The data of ``train_step.py``: a few drawn pictures, as often as steps need them."""

import dataclasses

import pandas as pd

from medseg.datasets.index import PreparedDataset


def repeated(dataset: PreparedDataset, count: int) -> PreparedDataset:
    """The training pictures in turn, ``count`` of them, and one to validate."""
    rows = dataset.split("train")
    train = pd.concat([rows] * -(-count // len(rows)))[:count]
    index = pd.concat([train, rows[:1].assign(split="validation")], ignore_index=True)
    return dataclasses.replace(dataset, index=index)
