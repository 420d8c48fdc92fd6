"""The predictor of a run, whichever framework trained it; only that framework is imported."""

import importlib

from medseg.errors import MedsegError
from medseg.experiments.evaluation import Predictor
from medseg.experiments.runs import Run

_PACKAGES = {
    ("polyp", "2_train_torch"): "medseg.pytorch",
    ("polyp", "2_train_keras"): "medseg.keras_legacy",
}


def load_predictor(run: Run, device: str = "auto") -> Predictor:
    """The best checkpoint of a finished run as a predictor.

    Args:
        run: finished; its record says which notebook trained it.
        device: ``auto``, ``cpu``, or what else the framework has.

    Raises:
        MedsegError: an unknown notebook, or a checkpoint that cannot be used.
    """
    trained_by = run.record.get("study"), run.record.get("stage")
    if trained_by not in _PACKAGES:
        known = ", ".join("/".join(notebook) for notebook in _PACKAGES)
        raise MedsegError(
            f"The run {run.id} was trained by {trained_by[0]}/{trained_by[1]}, whose framework is not known. "
            f"Known are: {known}."
        )
    return importlib.import_module(f"{_PACKAGES[trained_by]}.inference").load_predictor(run, device)
