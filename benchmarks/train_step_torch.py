"""The three ways of ``train_step.py`` in PyTorch: one binary mask, or 29 overlapping ones."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import handbone_data
import numpy as np
import polyp_augment
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _BaseDataLoaderIter
from train_step_clock import Clock, Memory
from train_step_data import repeated

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.index import PreparedDataset
from medseg.experiments import runs
from medseg.pytorch import device as devices
from medseg.pytorch.data import BinaryItems, OverlappingItems, batches, unpack
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import build
from medseg.pytorch.optimisation import Optimisation
from medseg.pytorch.training import train

NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DeviceMemory(Memory):
    """That of a GPU."""

    there = True

    def begin(self) -> None:
        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated()

    def peak(self) -> float:
        return float(torch.cuda.max_memory_allocated() - self._before)


def measure(study: str, stage: str, parameters: Mapping[str, Any], steps: int, folder: Path, tiny: bool) -> Clock:
    """Turns of the three ways; ``parameters`` are those of the training notebook ``stage``."""
    device = devices.choose(parameters["device"], parameters["precision"])
    cuda = device.kind == "cuda"
    if study == "polyp":
        drawn = polyp_augment.draw_frames(folder / "data")
    else:
        drawn = handbone_data.draw_dataset(folder / "data", 256 if tiny else 2048, 1 if tiny else 4)
    workers = parameters["workers"]
    behind = bool(workers) or cuda  # else nothing goes on in the background, and ways may change after each step
    clock = Clock(
        "ours",
        {},
        steps=8 if behind else 1,
        ahead=2 * workers + 1 if behind else 0,
        rounds=-(-steps // 8) if behind else steps,
        synchronise=torch.cuda.synchronize if cuda else lambda: None,
        memory=DeviceMemory() if cuda else Memory(),
    )
    dataset = repeated(drawn, clock.total * parameters["batch_size"])
    clock.others["straightforward"] = published_step(dataset, parameters, device)
    clock.others["ceiling"] = ceiling_step(dataset, parameters, device)
    with _timed_waiting(clock):
        ours(study, stage, parameters, dataset, clock)
    return clock


class _timed_waiting:
    """Within it, what waits for the next batch of any loader tells the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._next = clock, _BaseDataLoaderIter.__next__

    def __enter__(self) -> None:
        def following(iterator: Any) -> Any:
            with self._clock.waiting():
                return self._next(iterator)

        _BaseDataLoaderIter.__next__ = following

    def __exit__(self, *_: object) -> None:
        _BaseDataLoaderIter.__next__ = self._next


def ours(study: str, stage: str, parameters: Mapping[str, Any], dataset: PreparedDataset, clock: Clock) -> None:
    """Train as the notebook does for two epochs: the first fills caches, the second is measured."""
    parameters = {**parameters, "max_epochs": 2}
    run = runs.prepare_run(study, stage, parameters, dataset)
    done = itertools.count(1)
    owner: list[torch.optim.Optimizer] = []

    def stepped(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if not owner:
            owner.append(optimizer)  # the first to step: the other ways do so only when the clock lets them
        if optimizer is owner[0]:
            number = next(done)
            if number > clock.total:
                clock.stepped()
            elif number == clock.total:
                clock.start()

    hook = register_optimizer_step_post_hook(stepped)
    try:
        with runs.training(run, study, stage, parameters, dataset):
            torch.manual_seed(parameters["seed"])
            train(run, build(parameters, len(dataset.info["classes"])), dataset, parameters)
    finally:
        hook.remove()


def ceiling_step(drawn: PreparedDataset, parameters: Mapping[str, Any], device: devices.Device) -> Callable[[], None]:
    """Forward pass, loss, backward pass and optimizer of the network, the loss and the data of ours, on the device."""
    model = build(parameters, len(drawn.info["classes"]))
    network, loss = _placed(model.network, parameters, device), build_loss(parameters["loss"])
    optimizer = Optimisation.of(parameters).build(model.network, model.network.network, model.encoder)
    options = {"resolution": parameters["resolution"], "augmentation": parameters["augmentation"]}
    binary = drawn.info["study"] == "polyp"
    items = (BinaryItems if binary else OverlappingItems)(drawn, "train", **options)
    pictures, labels = next(iter(batches(items, parameters["batch_size"], seed=0)))[:2]
    labels = (labels if binary else unpack(labels, len(drawn.info["classes"]))).to(device.kind)
    pictures = _normalised(pictures.expand(-1, 3, -1, -1).to(device.kind) / 255)

    def step() -> None:
        optimizer.zero_grad()
        with device.autocast():
            value = loss(network(pictures), labels)
        value.backward()
        optimizer.step()

    return step


class Published(Dataset):
    """Items as the published code makes them: picture (3, R, R) and masks (C, R, R), both float32."""

    def __init__(self, drawn: PreparedDataset, resolution: int, augmentation: str) -> None:
        self._drawn, self._rows = drawn, drawn.split("train")
        self._binary = drawn.info["study"] == "polyp"
        if self._binary:
            self._augment = build_augmentation("augmentor", resolution)
        else:
            self._way = handbone_data.straightforward(drawn, resolution, augmented=augmentation != "none")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._binary:
            picture, masks = self._way(number)
            return torch.from_numpy(np.stack([picture] * 3)), torch.from_numpy(masks)
        row = self._rows.iloc[number]
        opened, mask = (Image.open(self._drawn.path(row[column])) for column in ("image", "label"))
        binary = (np.asarray(mask.convert("L")) > 127).astype(np.uint8)
        picture, binary = self._augment(np.asarray(opened.convert("RGB")), binary, np.random.default_rng())
        scaled = picture.transpose(2, 0, 1).astype(np.float32) / 255
        return torch.from_numpy(scaled), torch.from_numpy(binary[None].astype(np.float32))


def published_step(drawn: PreparedDataset, parameters: Mapping[str, Any], device: devices.Device) -> Callable[[], None]:
    """A loop as it is usually written: items, network, loss and optimizer, and the figures of every step."""
    items = Published(drawn, parameters["resolution"], parameters["augmentation"])
    options = {"num_workers": parameters["workers"], "pin_memory": device.kind == "cuda"}
    loader = DataLoader(items, parameters["batch_size"], shuffle=True, drop_last=True, **options)
    name = parameters["architecture"].removeprefix("smp-")
    network = smp.create_model(name, parameters["backbone"], encoder_weights=None, classes=len(drawn.info["classes"]))
    network = _placed(network, parameters, device)
    dice = smp.losses.DiceLoss("multilabel")
    cross_entropy = torch.nn.BCEWithLogitsLoss() if "bce" in parameters["loss"] else None
    optimizer = torch.optim.Adam(network.parameters(), parameters["learning_rate"])
    figures: list[tuple[float, float]] = []
    feed = _endless(loader)

    def step() -> None:
        pictures, masks = (part.to(device.kind, non_blocking=True) for part in next(feed))
        optimizer.zero_grad()
        with device.autocast():
            logits = network(_normalised(pictures))
            value = dice(logits, masks)
            if cross_entropy:
                value = value + cross_entropy(logits, masks)
        value.backward()
        optimizer.step()
        predicted = (logits.detach().sigmoid() > 0.5).float()
        overlap, total = (predicted * masks).sum((2, 3)), predicted.sum((2, 3)) + masks.sum((2, 3))
        figures.append((value.item(), (2 * overlap / total.clamp(min=1)).mean().item()))

    return step


def _endless(loader: DataLoader) -> Iterator[Any]:
    while True:
        yield from loader


def _placed(network: Any, parameters: Mapping[str, Any], device: devices.Device) -> Any:
    """The network where it trains, as ours is: channels last on a GPU, compiled where that is asked for."""
    network = network.to(device.kind).train()
    if device.kind == "cuda":
        network = network.to(memory_format=torch.channels_last)
    if parameters["compile"]:
        network.compile()
    return network


def _normalised(pictures: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values, device=pictures.device).view(1, 3, 1, 1) for values in NORMALISATION)
    return (pictures - mean) / std
