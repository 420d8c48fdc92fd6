"""Batches of pictures whose classes overlap: grey uint8 pictures, the bits of all classes, and facts to be told.

Everything stays small up to the device: 29 masks of 1024 x 1024 are 4 MB as bits and 122 MB as floats.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from medseg.datasets.index import PreparedDataset
from medseg.datasets.polygon_items import PolygonItems
from medseg.pytorch.data import EpochSampler, drops_last, loading
from medseg.pytorch.heads import AUXILIARY

UNKNOWN = -1


class PolygonSamples(Dataset):
    """Samples addressed by (epoch, number) where they are augmented, and by number where they are not.

    Args:
        samples: of the hand-bone study.
        facts: int64 (n, F), as :func:`facts_of` gives them.
    """

    def __init__(self, samples: PolygonItems, facts: np.ndarray) -> None:
        self._samples, self._facts = samples, torch.from_numpy(facts)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: tuple[int, int] | int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Picture (1, R, R) uint8, classes (R, R) int32 with bit k for class k, and facts (F,) int64."""
        if isinstance(key, tuple):
            picture, bits = self._samples.training(*key)
            number = key[1]
        else:
            picture, bits = self._samples.plain(key)
            number = key
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


def training_loader(
    dataset: PreparedDataset,
    *,
    resolution: int,
    augmentation: str,
    batch_size: int,
    seed: int,
    auxiliary: Sequence[str] = (),
    workers: int = 0,
) -> DataLoader:
    """Shuffled, augmented batches of the split ``train``; a last batch of a single sample is left out.

    Raises:
        MedsegError: a bad augmentation, or one that mirrors although the side is to be told.
    """
    rows = dataset.split("train")
    samples = PolygonItems(
        dataset,
        rows,
        resolution=resolution,
        augmentation=augmentation,
        seed=seed,
        side_is_predicted="side" in auxiliary,
    )
    return DataLoader(
        PolygonSamples(samples, facts_of(rows, auxiliary)),
        batch_size=batch_size,
        sampler=EpochSampler(len(rows), seed),
        drop_last=drops_last(len(rows), batch_size),
        **loading(workers),
    )


def validation_loader(
    dataset: PreparedDataset, *, resolution: int, batch_size: int, auxiliary: Sequence[str] = (), workers: int = 0
) -> DataLoader:
    """Batches of the split ``validation``, in the order of the index, never augmented."""
    rows = dataset.split("validation")
    samples = PolygonSamples(PolygonItems(dataset, rows, resolution=resolution), facts_of(rows, auxiliary))
    return DataLoader(samples, batch_size=batch_size, **loading(workers))
