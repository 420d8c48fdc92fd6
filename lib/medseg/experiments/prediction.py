"""The predictor of a run, whichever framework trained it; only that framework is imported."""

import importlib
from collections.abc import Callable
from typing import Any

from medseg.errors import MedsegError
from medseg.experiments.runs import Run

_MODULES = {
    ("polyp", "2_train_torch"): "medseg.pytorch.inference",
    ("polyp", "2_train_keras"): "medseg.keras_legacy.inference",
    ("handbone", "2_train"): "medseg.pytorch.overlapping_inference",
    ("gastric", "2_train"): "medseg.keras.inference",
}


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
        MedsegError: an unknown notebook, or a checkpoint that cannot be used.
    """
    trained_by = run.record.get("study"), run.record.get("stage")
    if trained_by not in _MODULES:
        known = ", ".join("/".join(notebook) for notebook in _MODULES)
        raise MedsegError(
            f"The run {run.id} was trained by {trained_by[0]}/{trained_by[1]}, whose framework is not known. "
            f"Known are: {known}."
        )
    return importlib.import_module(_MODULES[trained_by]).load_predictor(run, device, **options)
