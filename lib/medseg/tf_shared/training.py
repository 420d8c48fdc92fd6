"""The frame of a training in both rooms: parameters checked, resumed where a checkpoint is, recorded."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from medseg.errors import MedsegError
from medseg.evaluation.rules import MaskRules
from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.tf_shared import device as devices
from medseg.tf_shared import npz
from medseg.tf_shared.model import BuiltModel
from medseg.tf_shared.prediction import check_tta

State = Mapping[str, Any]


def check(parameters: Mapping[str, Any], least: Mapping[str, float]) -> None:
    """Refuse numbers out of range, ``least`` saying the lowest of some, and what cannot be done with a trained network.

    Raises:
        MedsegError: what cannot work, and what would.
    """
    for name, lowest in {**least, "max_steps": 0, "max_minutes": 0}.items():
        if parameters.get(name, lowest) < lowest:
            raise MedsegError(f"{name} is {parameters[name]:g}, expected {lowest} or more.")
    if parameters["learning_rate"] <= 0:
        raise MedsegError(f"learning_rate is {parameters['learning_rate']:g}, expected more than 0.")
    if not 0 <= parameters["norm_momentum"] < 1:
        raise MedsegError(f"norm_momentum is {parameters['norm_momentum']:g}, expected 0 or more and less than 1.")
    check_tta(parameters["tta"])
    MaskRules.of(parameters)


def train(
    run: Run,
    model: BuiltModel,
    parameters: Mapping[str, Any],
    device: devices.Device,
    fit: Callable[[State | None], None],
    *,
    metric: str,
    rule: str,
    selection: Callable[[list[dict[str, Any]]], Mapping[str, Any]] = lambda _: {},
) -> pd.DataFrame:
    """Let ``fit`` train to the end, unless that has happened before, and record what came out of it; gives the history.

    Args:
        run: held by :func:`runs.training`.
        fit: begins, or goes on from the state of ``checkpoints/last.npz`` that it is given; it leaves the checkpoint of
            its last epoch, whose state says ``ended`` and holds the ``rows`` of the history.
        metric, rule: see :func:`outcome.finish`.
        selection: further facts about the choice, from the rows of the history.

    Raises:
        MedsegError: out of memory, or a checkpoint that cannot be read.
    """
    last = run.checkpoints / npz.LAST
    state = npz.read_state(last)
    if state is None or not state["ended"]:
        try:
            fit(state)
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            raise outcome.out_of_memory(device, parameters) from error
        state = npz.read_state(last)
    assert state is not None, f"the training of {run.id} ended without {npz.LAST}"
    if run.record.get("status") != "finished":
        history = pd.DataFrame(state["rows"])
        run.write_table("history.csv", history)  # a kill may have come between the checkpoint and the table
        outcome.finish(
            run,
            parameters,
            history,
            device=device,
            model=model,
            metric=metric,
            rule=rule,
            peak_memory_mb=devices.peak_memory_mb(device),
            state=state,
            **selection(state["rows"]),
        )
    return run.history()
