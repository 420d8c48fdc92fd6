"""A trained run as a predictor: pictures in, probabilities at their own size out."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from medseg.errors import MedsegError
from medseg.evaluation.cost import BareNetwork
from medseg.evaluation.predictors import StretchedPredictor
from medseg.evaluation.views import views
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.cost import bare_network
from medseg.pytorch.models import BuiltModel, build
from medseg.pytorch.weights import BEST, checkpoint_file, trained_weights


class OnDevice:
    """The operations of :class:`medseg.evaluation.network.Windowed` but ``logits``; maps stay on the device.

    Every class has a probability of its own.
    """

    def __init__(self, device: devices.Device) -> None:
        self._device = device

    def mirrored(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.flip(-1)

    def zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.zeros(shape, device=self._device.kind)

    def sent(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self._device.kind)

    @torch.inference_mode()
    def probabilities(self, logits: torch.Tensor, size: tuple[int, int], upsampling: str) -> torch.Tensor:
        # Pixel centres stay in their places (align_corners is off), as they do when a picture is resized.
        native = functional.interpolate(logits[None], size=size, mode=upsampling, align_corners=False)
        return native[0].sigmoid()

    def fetched(self, values: torch.Tensor) -> np.ndarray:
        return values.cpu().numpy()


class TrainedNetwork(OnDevice):
    """A network with its trained weights where it computes; its logits are float32."""

    def __init__(self, model: BuiltModel, device: devices.Device) -> None:
        self._network = model.network.eval().to(device.kind)
        self._mean, self._std = (
            torch.tensor(values, device=device.kind).view(1, 3, 1, 1)
            for values in (model.normalisation.mean, model.normalisation.std)
        )
        super().__init__(device)

    @torch.inference_mode()
    def logits(self, pictures: np.ndarray) -> torch.Tensor:
        seen = self.sent(pictures).permute(0, 3, 1, 2)
        with self._device.autocast():  # one channel against three makes three
            return self._network((seen.float() / 255 - self._mean) / self._std).float()

    def bare(self, shape: tuple[int, ...]) -> BareNetwork:
        """The network alone, for pictures (B, ``*shape``)."""
        return bare_network(self._network, self.logits, shape, self._device)


def load_predictor(run: Run, device: str = "auto", **options: Any) -> StretchedPredictor:
    """The predictor of a finished run: see :func:`best_network`.

    ``options`` may hold tta (see :func:`views`), where it is not to be as the run's parameters say, and checkpoint:
    ``best``, ``last``, or a file.
    """
    parameters = {**run.record["parameters"], **options}
    model, resolution, chosen = best_network(run, device, str(options.get("checkpoint", BEST)))
    return StretchedPredictor(TrainedNetwork(model, chosen), resolution, views(parameters.get("tta", ())))


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
