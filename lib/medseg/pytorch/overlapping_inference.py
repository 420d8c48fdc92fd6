"""A trained run of overlapping classes as a predictor: a picture in, probabilities of one class at a time out."""

from typing import Any

from medseg.evaluation.predictors import FittedPredictor
from medseg.evaluation.views import views
from medseg.experiments.runs import Run
from medseg.pytorch.inference import TrainedNetwork, best_network
from medseg.pytorch.weights import BEST


def load_predictor(run: Run, device: str = "auto", **options: Any) -> FittedPredictor:
    """The predictor of a finished run: see :func:`best_network`.

    ``options`` are window, stride, tta (see :func:`views`), upsampling, batch, and checkpoint (``best``, ``last``, or a
    file); what is left out is as the run's parameters say. A :class:`MedsegError` where one is out of range.
    """
    parameters = run.record["parameters"]
    wanted = {name: parameters[name] for name in ("window", "stride", "tta", "upsampling") if name in parameters}
    wanted |= options
    seen = views(wanted.pop("tta", ()))
    model, resolution, chosen = best_network(run, device, wanted.pop("checkpoint", BEST))
    return FittedPredictor(TrainedNetwork(model, chosen), resolution, views=seen, **wanted)
