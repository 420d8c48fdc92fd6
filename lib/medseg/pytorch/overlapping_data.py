"""Batches of pictures whose classes overlap: grey uint8 pictures, the bits of all classes, and facts to be told.

Everything stays small up to the device: 29 masks of 1024 x 1024 are 4 MB as bits and 122 MB as floats.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from medseg.datasets.index import PreparedDataset
from medseg.datasets.polygon_items import PolygonItems
from medseg.pytorch.data import Items
from medseg.pytorch.heads import AUXILIARY

UNKNOWN = -1


class OverlappingItems(Items):
    """Items addressed by (epoch, number) where they are augmented, and by number where they are not.

    Args:
        dataset: whose labels are polygons.
        split: whose items they are.
        auxiliary: facts that are told, see :func:`facts_of`.
        drawn: resolution, augmentation and seed, see :class:`PolygonItems`.

    Raises:
        MedsegError: a bad augmentation, or one that mirrors although the side is to be told.
    """

    def __init__(self, dataset: PreparedDataset, split: str, *, auxiliary: Sequence[str] = (), **drawn: Any) -> None:
        rows = dataset.split(split)
        self._items = PolygonItems(dataset, rows, side_is_predicted="side" in auxiliary, **drawn)
        self._facts = torch.from_numpy(facts_of(rows, auxiliary))

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: tuple[int, int] | int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Picture (1, R, R) uint8, classes (R, R) int32 with bit k for class k, and facts (F,) int64."""
        if isinstance(key, tuple):
            (picture, bits), number = self._items.training(*key), key[1]
        else:
            (picture, bits), number = self._items.plain(key), key
        return torch.from_numpy(picture[None]), torch.from_numpy(bits), self._facts[number]


def facts_of(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """What auxiliary heads are to tell about each row of the index.

    Args:
        rows: with a column for each fact; where it is missing nothing is known.
        names: facts of ``AUXILIARY``.

    Returns:
        int64 (n, F): 0 or 1 as ``AUXILIARY`` says, -1 where the index says neither.
    """
    facts = np.full((len(rows), len(names)), UNKNOWN, np.int64)
    for column, name in enumerate(names):
        for value, meaning in enumerate(AUXILIARY[name]):
            if name in rows:
                facts[rows[name].to_numpy() == meaning, column] = value
    return facts


def unpack(bits: torch.Tensor, classes: int) -> torch.Tensor:
    """Masks (B, C, H, W) uint8 of {0, 1} from the bits (B, H, W) int32 of ``classes`` classes, on their device."""
    masks = torch.empty((len(bits), classes, *bits.shape[1:]), dtype=torch.uint8, device=bits.device)
    for number in range(classes):  # one at a time: an int32 for every class would be four times the result
        masks[:, number] = (bits >> number) & 1
    return masks
