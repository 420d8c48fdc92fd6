"""Batches for PyTorch: uint8 up to the device, a random state of its own for every (seed, epoch, sample)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import Augmentation, generator, plain_resize
from medseg.datasets.frames import Frames, epoch_order
from medseg.datasets.index import PreparedDataset


class TrainingSamples(Dataset):
    """Augmented samples, addressed by (epoch, number) so that a run repeats whatever the number of workers."""

    def __init__(self, frames: Frames, augmentation: Augmentation, seed: int) -> None:
        self._frames, self._augmentation, self._seed = frames, augmentation, seed

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (3, R, R) uint8 and mask (1, R, R) uint8 of {0, 1}."""
        epoch, number = key
        return _tensors(*self._augmentation(*self._frames[number], generator(self._seed, epoch, number)))


class ValidationSamples(Dataset):
    """Samples resized to the training resolution and nothing else."""

    def __init__(self, frames: Frames, resolution: int) -> None:
        self._frames, self._resolution = frames, resolution

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (3, R, R) uint8 and mask (1, R, R) uint8 of {0, 1}."""
        return _tensors(*plain_resize(*self._frames[number], self._resolution))


class EpochSampler(Sampler):
    """A new order each epoch, drawn from (seed, epoch) alone; Lightning calls :meth:`set_epoch`, also on resuming."""

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed, self._epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Tell which epoch (from 0) the next pass is."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = epoch_order(self._seed, self._epoch, self._length)
        return ((self._epoch, int(number)) for number in order)


def training_loader(
    dataset: PreparedDataset, *, resolution: int, augmentation: str, batch_size: int, seed: int, workers: int = 0
) -> DataLoader:
    """Shuffled, augmented batches of the split ``train``.

    A last batch of a single sample is left out: batch normalisation has no variance to measure in it.
    """
    rows = dataset.split("train")
    samples = TrainingSamples(Frames(dataset, rows), build_augmentation(augmentation, resolution), seed)
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=EpochSampler(len(samples), seed),
        drop_last=drops_last(len(rows), batch_size),
        **loading(workers),
    )


def validation_loader(dataset: PreparedDataset, *, resolution: int, batch_size: int, workers: int = 0) -> DataLoader:
    """Batches of the split ``validation``, in the order of the index, never augmented."""
    rows: pd.DataFrame = dataset.split("validation")
    return DataLoader(ValidationSamples(Frames(dataset, rows), resolution), batch_size=batch_size, **loading(workers))


def drops_last(samples: int, batch_size: int) -> bool:
    """Whether the last batch of an epoch would be a single sample: batch normalisation has no variance to measure."""
    return samples > batch_size and samples % batch_size == 1


def loading(workers: int) -> dict:
    """How a loader works, whatever it loads."""
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        # Forking a process in which threads of PyTorch or OpenCV already run can deadlock.
        "multiprocessing_context": "spawn" if workers else None,
    }


def _tensors(image: np.ndarray, mask: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(mask[None].copy())
