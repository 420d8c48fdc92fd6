"""Batches for PyTorch: uint8 up to the device, a random state of its own for every (seed, epoch, item)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from medseg import registry
from medseg.datasets.augmentation.presets import build_augmentation, reader
from medseg.datasets.augmentation.warp import generator, plain_resize
from medseg.datasets.frames import Frames, epoch_order
from medseg.datasets.index import PreparedDataset
from medseg.datasets.polygon_items import PolygonItems
from medseg.errors import MedsegError
from medseg.experiments.parent_death import WatchedContext
from medseg.pytorch.heads import AUXILIARY
from medseg.pytorch.several_devices import PartOfBatches


class Items(Dataset):
    """What batches are made of: items of a ``_source``."""

    _source: Any

    def __len__(self) -> int:
        return len(self._source)


class BinaryItems(Items):
    """Items addressed by (epoch, number) where they are augmented, and by number where they are resized alone.

    So a run repeats whatever the number of workers.
    """

    def __init__(
        self, dataset: PreparedDataset, split: str, *, resolution: int, augmentation: str = "none", seed: int = 0
    ) -> None:
        self._augmentation = build_augmentation(augmentation, resolution)
        self._source: Frames = Frames(dataset, dataset.split(split), read=reader(self._augmentation))
        self._resolution, self._seed = resolution, seed

    def __getitem__(self, key: tuple[int, int] | int) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (3, R, R) uint8 and mask (1, R, R) uint8 of {0, 1}."""
        if isinstance(key, tuple):
            image, mask = self._augmentation(*self._source[key[1]], generator(self._seed, *key))
        else:
            image, mask = plain_resize(*self._source[key], self._resolution)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(mask[None].copy())


class OverlappingItems(Items):
    """The same of polygons: grey pictures, the bits of all classes, and facts to be told, see :func:`facts_of`.

    Everything stays small up to the device: 29 masks of 1024 x 1024 are 4 MB as bits and 122 MB as floats. ``drawn`` is
    resolution, augmentation and seed, see :class:`PolygonItems`; a :class:`MedsegError` where it mirrors although the
    side is to be told.
    """

    def __init__(self, dataset: PreparedDataset, split: str, *, auxiliary: Sequence[str] = (), **drawn: Any) -> None:
        rows = dataset.split(split)
        self._source = PolygonItems(dataset, rows, side_is_predicted="side" in auxiliary, **drawn)
        self._facts = torch.from_numpy(facts_of(rows, auxiliary))

    def __getitem__(self, key: tuple[int, int] | int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Picture (1, R, R) uint8, classes (R, R) int32 with bit k for class k, and facts (F,) int64."""
        if isinstance(key, tuple):
            (picture, bits), number = self._source.training(*key), key[1]
        else:
            (picture, bits), number = self._source.plain(key), key
        return torch.from_numpy(picture[None]), torch.from_numpy(bits), self._facts[number]


def facts_of(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """What auxiliary heads are to tell about each row of the index.

    int64 (n, F): 0 or 1 as ``AUXILIARY`` says of each of the ``names``, -1 where the index says neither.
    """
    facts = np.full((len(rows), len(names)), -1, np.int64)
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


class EpochSampler(Sampler):
    """A new order each epoch, drawn from (seed, epoch) alone; Lightning calls :meth:`set_epoch`, also on resuming."""

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed, self._epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = epoch_order(self._seed, self._epoch, self._length)
        return ((self._epoch, int(number)) for number in order)


def batches(
    items: Items, batch_size: int, *, workers: int = 0, seed: int | None = None, place: tuple[int, int] = (0, 1)
) -> DataLoader:
    """Batches of ``items``: with a seed augmented and in a new order each epoch, without as they are, in their order.

    Where they are trained on, a last batch of a single item is left out: batch normalisation has no variance to
    measure in it. Of several processes each takes its part at its ``place``, number and count.
    """
    number, count = place
    if seed is not None:
        drop = len(items) > batch_size and len(items) % batch_size == 1
        sampler: Sampler = PartOfBatches(EpochSampler(len(items), seed), batch_size, drop, number, count)
    else:
        sampler = BatchSampler(range(number, len(items), count), batch_size, drop_last=False)
    return DataLoader(
        items,
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Forking a process in which threads of PyTorch or OpenCV already run can deadlock. PyTorch's own processes look
        # for their parent only when they have imported it: one that is killed before would leave them for ever.
        multiprocessing_context=WatchedContext() if workers else None,
    )


def classes_overlap(dataset: PreparedDataset) -> bool:
    """Whether a pixel may belong to several classes; a :class:`MedsegError` where no network here learns the labels."""
    label = registry.find(dataset.info["study"]).label
    if label == "class_map":
        raise MedsegError(
            f"The labels of {dataset.info['name']} are maps of classes that exclude one another, which is not trained "
            "in PyTorch. Take a dataset of one class, or of classes that overlap."
        )
    return label == "overlapping"
