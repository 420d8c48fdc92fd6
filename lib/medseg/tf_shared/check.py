"""What the checks of both rooms refuse in the parameters of a training."""

from collections.abc import Mapping
from typing import Any

from medseg.errors import MedsegError
from medseg.evaluation.rules import MaskRules
from medseg.experiments import loggers, preflight
from medseg.tf_shared.prediction import check_tta


def check(parameters: Mapping[str, Any], least: Mapping[str, float]) -> None:
    """Refuse numbers out of range, ``least`` saying the lowest of some, and unknown rules: a :class:`MedsegError`."""
    for name, lowest in {**least, "max_steps": 0, "max_minutes": 0, "checkpoint_minutes": 0}.items():
        if parameters.get(name, lowest) < lowest:
            raise MedsegError(f"{name} is {parameters[name]:g}, expected {lowest} or more.")
    preflight.check_seed(parameters)
    if parameters["learning_rate"] <= 0:
        raise MedsegError(f"learning_rate is {parameters['learning_rate']:g}, expected more than 0.")
    if not 0 <= parameters["norm_momentum"] < 1:
        raise MedsegError(f"norm_momentum is {parameters['norm_momentum']:g}, expected 0 or more and less than 1.")
    check_tta(parameters["tta"])
    loggers.check(parameters.get("logger", ()))
    MaskRules.of(parameters)
