"""Train one run of the hand-bone study."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.experiments.runs import Run
from medseg.pytorch.bone_task import AUXILIARY_WEIGHT, BoneTask
from medseg.pytorch.fitting import Work, fit
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import BuiltModel, build_model
from medseg.pytorch.overlapping_data import training_loader, validation_loader

SELECTION_RULE = (
    "highest average validation Dice (mean over cases and classes, empty in truth and prediction left out) at the "
    "training resolution, threshold 0.5"
)
KEPT = 3


def build(parameters: Mapping[str, Any], classes: int, *, weights: str | None = None) -> BuiltModel:
    """The network that ``parameters`` describe.

    Args:
        parameters: architecture, backbone, weights, norm, upsampling, auxiliary.
        classes: number of classes.
        weights: instead of those in ``parameters``; "none" where trained ones follow.
    """
    return build_model(
        parameters["architecture"],
        parameters["backbone"],
        weights=parameters["weights"] if weights is None else weights,
        num_classes=classes,
        norm=parameters["norm"],
        upsampling=parameters["upsampling"],
        auxiliary=parameters["auxiliary"],
    )


def train(run: Run, model: BuiltModel, dataset: PreparedDataset, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Train ``model``, or go on from ``checkpoints/last.ckpt``; call it within :func:`runs.training`.

    The three checkpoints with the best average validation Dice are kept as ``epoch-NNNN.ckpt``, the best of them also
    as ``best.ckpt``; the record names them under ``selection.kept``.

    Args:
        model: as :func:`build` makes it.
        dataset: with the fold held out that ``parameters`` name.
        parameters: architecture, resolution, batch_size, accumulate, max_epochs, learning_rate, weight_decay, loss,
            schedule, validation_interval (epochs), patience (validations), augmentation, auxiliary, precision, device,
            compile, workers, seed; and where they differ from their defaults backbone_learning_rate (0),
            restart_epochs (10), restart_factor (1) and auxiliary_weight (0.005).

    Returns:
        The history: epoch, split, loss, dice, iou, for each auxiliary head its loss and accuracy, learning_rate,
        seconds. ``loss`` is the whole loss, that of the auxiliary heads included.

    Raises:
        MedsegError: see :func:`medseg.pytorch.fitting.fit`; a bad augmentation.
    """

    def prepare(batch_size: int) -> Work:
        names = ("resolution", "auxiliary", "workers")
        common = {name: parameters[name] for name in names} | {"batch_size": batch_size}
        seed = parameters["seed"]
        task = BoneTask(
            model,
            build_loss(parameters["loss"]),
            classes=len(dataset.info["classes"]),
            auxiliary_weight=parameters.get("auxiliary_weight", AUXILIARY_WEIGHT),
            learning_rate=parameters["learning_rate"],
            backbone_learning_rate=parameters.get("backbone_learning_rate", 0.0),
            weight_decay=parameters["weight_decay"],
            schedule=parameters["schedule"],
            restarts=(parameters.get("restart_epochs", 10), parameters.get("restart_factor", 1)),
            seed=seed,
        )
        training = training_loader(dataset, augmentation=parameters["augmentation"], seed=seed, **common)
        return Work(task, training, validation_loader(dataset, **common))

    return fit(run, model, parameters, prepare, rule=SELECTION_RULE, keep=KEPT)
