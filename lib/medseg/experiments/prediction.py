"""The predictor of a run, whichever framework trained it; only that framework is imported."""

import importlib
from collections.abc import Callable
from typing import Any

from medseg import registry
from medseg.experiments.runs import Run


def load_predictor(run: Run, device: str = "auto", **options: Any) -> Callable[..., Any]:
    """The best checkpoint of a finished run as a predictor.

    Args:
        run: finished; its record says which notebook trained it.
        device: ``auto``, ``cpu``, or what else the framework has.
        options: what that framework's ``load_predictor`` takes besides, such as a checkpoint's name.

    Returns:
        For the study polyp a :data:`medseg.evaluation.binary.Predictor`, for handbone a
        :data:`medseg.evaluation.overlapping.ClassPredictor`, for gastric a
        :data:`medseg.studies.gastric.evaluation.PhasePredictor`.

    Raises:
        MedsegError: a study or training notebook that is not there, or a checkpoint that cannot be used.
    """
    record = run.record
    training = registry.find(record.get("study", "")).training(record.get("stage", ""))
    return importlib.import_module(training.predictor).load_predictor(run, device, **options)
