"""A trained run as a predictor: pictures in, probabilities at their own size out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from medseg import project
from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.models import BuiltModel, build_model


class Predictor:
    """Probabilities of a trained network.

    Args:
        model: network with its trained weights, and its normalisation.
        resolution: side, in pixels, of the square that pictures are resized to.
        device: where to compute, and how precisely.
    """

    def __init__(self, model: BuiltModel, resolution: int, device: devices.Device) -> None:
        self._network = model.network.eval().to(device.torch_device)
        self._mean, self._std = (
            torch.tensor(values, device=device.torch_device).view(1, 3, 1, 1)
            for values in (model.normalisation.mean, model.normalisation.std)
        )
        self._resolution, self._device = resolution, device

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Probability maps of ``pictures``.

        Args:
            pictures: each (H, W, 3) uint8 RGB; sizes may differ.

        Returns:
            For each picture (H, W) float32 in [0, 1] at its own size: the logits are brought there before the sigmoid.
        """
        small = np.stack([resize_image(picture, self._resolution) for picture in pictures])
        batch = torch.from_numpy(small).to(self._device.torch_device).permute(0, 3, 1, 2)
        with self._device.autocast():
            logits = self._network((batch.float() / 255 - self._mean) / self._std)
        return [
            functional.interpolate(one[None].float(), picture.shape[:2], mode="bilinear", align_corners=False)
            .sigmoid()[0, 0]
            .cpu()
            .numpy()
            for one, picture in zip(logits, pictures, strict=True)
        ]


def load_predictor(run: Run, device: str = "auto") -> Predictor:
    """The predictor of a finished run: its best checkpoint, in the precision it was trained in where possible.

    Raises:
        MedsegError: the checkpoint is missing, unreadable, or not of the network that the run describes.
    """
    parameters = run.record["parameters"]
    model = build_model(
        parameters["architecture"], parameters["backbone"], parts=parameters["parts"], width=parameters["width"]
    )
    load_best(run, model)
    return Predictor(model, parameters["resolution"], devices.choose(device))


def load_best(run: Run, model: BuiltModel) -> None:
    """Give ``model`` the weights of the best checkpoint of ``run``.

    Raises:
        MedsegError: it is missing, unreadable, or not of this network.
    """
    path = run.checkpoints / "best.ckpt"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
        prefix = "network."
        model.network.load_state_dict(
            {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)}
        )
    except Exception as error:
        raise MedsegError(
            f"{project.display(path)} cannot be used ({str(error).splitlines()[0]}). Train the run again: delete its "
            "folder and repeat the sweep."
        ) from error
