"""Train one run of the polyp study."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.experiments.runs import Run
from medseg.pytorch.data import training_loader, validation_loader
from medseg.pytorch.fitting import Work, fit
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import BuiltModel
from medseg.pytorch.task import SegmentationTask


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.ckpt``; call it within :func:`runs.training`.

    Args:
        parameters: architecture, backbone, resolution, batch_size, accumulate, max_epochs, learning_rate,
            weight_decay, loss, schedule, patience, augmentation, precision, device, compile, workers, seed.

    Returns:
        The history, one row per epoch and split.

    Raises:
        MedsegError: no validation data, out of memory, a loss that is not finite, a checkpoint that cannot be read.
    """

    def prepare(batch_size: int) -> Work:
        common = {name: parameters[name] for name in ("resolution", "workers")} | {"batch_size": batch_size}
        seed = parameters["seed"]
        task = SegmentationTask(
            model,
            build_loss(parameters["loss"]),
            learning_rate=parameters["learning_rate"],
            weight_decay=parameters["weight_decay"],
            schedule=parameters["schedule"],
            seed=seed,
        )
        training = training_loader(dataset, augmentation=parameters["augmentation"], seed=seed, **common)
        return Work(task, training, validation_loader(dataset, **common))

    return fit(run, model, parameters, prepare)
