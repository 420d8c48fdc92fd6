"""A trained run as a predictor: pictures in, probabilities at their own size out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.views import AS_IT_IS, View, views
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.cost import bare_network
from medseg.pytorch.models import BuiltModel, build
from medseg.pytorch.weights import BEST, checkpoint_file, trained_weights


class TrainedNetwork:
    """A network with its trained weights where it computes."""

    def __init__(self, model: BuiltModel, device: devices.Device) -> None:
        self._network, self._device = model.network.eval().to(device.kind), device
        self._mean, self._std = (
            torch.tensor(values, device=device.kind).view(1, 3, 1, 1)
            for values in (model.normalisation.mean, model.normalisation.std)
        )

    def send(self, pictures: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pictures).to(self._device.kind)

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (B, C, H, W) float32 of uint8 pictures (B, 3, H, W), or grey ones (B, 1, H, W)."""
        with self._device.autocast():  # one channel against three makes three
            return self._network((pictures.float() / 255 - self._mean) / self._std).float()

    def bare(self, shape: tuple[int, ...], channels_first: Callable[[torch.Tensor], torch.Tensor]) -> BareNetwork:
        """The network alone; ``channels_first`` turns pictures (B, ``*shape``) into what is called above."""
        return bare_network(self._network, lambda sent: self(channels_first(self.send(sent))), shape, self._device)


class ProbabilityMaps:
    """Probabilities of one picture, brought to its own ``size`` (height, width) one class at a time.

    ``logits`` of each view are (C, h, w) float32, mirrored back, all of the whole picture; they stay on their device.
    ``upsampling`` is bilinear or bicubic.
    """

    def __init__(self, logits: Sequence[torch.Tensor], size: tuple[int, int], upsampling: str = "bilinear") -> None:
        self._logits, self._size, self._upsampling = logits, size, upsampling

    def __len__(self) -> int:
        return len(self._logits[0])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    @torch.inference_mode()
    def __getitem__(self, number: int) -> np.ndarray:
        """Probability (H, W) float32 in [0, 1] of a class: the mean over the views of the sigmoid of their logits."""
        total = torch.zeros(self._size, device=self._logits[0].device)
        for logits in self._logits:
            # Pixel centres stay in their places (align_corners is off), as they do when a picture is resized.
            native = functional.interpolate(
                logits[number][None, None], size=self._size, mode=self._upsampling, align_corners=False
            )
            total += native[0, 0].sigmoid()
        return (total / len(self._logits)).cpu().numpy()


class Predictor:
    """Probabilities of a trained network of one class, which sees pictures as squares of ``resolution`` pixels.

    They are the mean over ``views``, see :func:`views`.
    """

    def __init__(
        self, model: BuiltModel, resolution: int, device: devices.Device, *, views: Sequence[View] = AS_IT_IS
    ) -> None:
        self._network, self._resolution, self._views = TrainedNetwork(model, device), resolution, views

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Probability maps of ``pictures``, each (H, W, 3) uint8 RGB; sizes may differ.

        Each is (H, W) float32 in [0, 1] at the picture's own size: the logits are brought there before the sigmoid.
        """
        logits = [self._logits(pictures, view) for view in self._views]
        of_each = zip(*logits, strict=True)
        return [ProbabilityMaps(views, picture.shape[:2])[0] for views, picture in zip(of_each, pictures, strict=True)]

    def bare(self) -> BareNetwork:
        """The network alone, to be measured; it takes pictures (B, R, R, 3) of the training resolution R."""
        return self._network.bare((self._resolution, self._resolution, 3), lambda sent: sent.permute(0, 3, 1, 2))

    def _logits(self, pictures: Sequence[np.ndarray], view: View) -> torch.Tensor:
        """Logits (B, 1, h, w) float32, mirrored back, at the size at which the network saw the pictures."""
        side = max(1, round(self._resolution * view.scale))
        seen = np.stack([resize_image(picture, side) for picture in pictures])
        batch = self._network.send(seen).permute(0, 3, 1, 2)
        return self._network(batch.flip(-1)).flip(-1) if view.flipped else self._network(batch)


def load_predictor(run: Run, device: str = "auto", **options: Any) -> Predictor:
    """The predictor of a finished run: see :func:`best_network`.

    ``options`` may hold tta (see :func:`views`), where it is not to be as the run's parameters say, and checkpoint:
    ``best``, ``last``, or a file.
    """
    parameters = {**run.record["parameters"], **options}
    checkpoint = str(options.get("checkpoint", BEST))
    return Predictor(*best_network(run, device, checkpoint), views=views(parameters.get("tta", ())))


def best_network(run: Run, device: str, checkpoint: str = BEST) -> tuple[BuiltModel, int, devices.Device]:
    """The network of a finished run with the weights of a checkpoint, its resolution, and where it computes.

    That is in the precision it was trained in, or in one that there is here. A :class:`MedsegError` where the
    checkpoint is missing, unreadable, or not of the network that the run describes.
    """
    parameters = run.record["parameters"]
    try:
        chosen = devices.choose(device, parameters["precision"])
    except MedsegError:  # trained where there was more to choose from
        chosen = devices.choose(device)
    model = build(parameters, len(run.record["dataset"]["classes"]), weights="none")
    load_best(run, model, checkpoint)
    return model, parameters["resolution"], chosen


def load_best(run: Run, model: BuiltModel, checkpoint: str = BEST) -> None:
    """Give ``model`` the weights of a checkpoint of ``run``, or say with a MedsegError why that cannot be."""
    saved = trained_weights(run, checkpoint)
    try:
        model.network.load_state_dict(saved)
    except Exception as error:
        raise outcome.unusable(checkpoint_file(run, checkpoint), error) from error
