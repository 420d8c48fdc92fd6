"""The frame of a training in both rooms: resumed where a checkpoint is, recorded in the run folder."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from medseg.experiments import outcome
from medseg.experiments.runs import Run
from medseg.tf_shared import device as devices
from medseg.tf_shared import npz
from medseg.tf_shared.model import BuiltModel

State = Mapping[str, Any]


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
    """Let ``fit`` train to the end, unless that has happened before, and say in the record what came out of it.

    Args:
        run: held by :func:`runs.training`.
        model: that is trained.
        parameters: of the run.
        device: that trains.
        fit: begins, or goes on from the state of ``checkpoints/last.npz`` that it is given; it leaves the checkpoint of
            its last epoch, whose state says ``ended`` and holds the ``rows`` of the history.
        metric: column of the history by which the checkpoint was chosen.
        rule: how it was chosen, for a person.
        selection: further facts about the choice, from the rows of the history.

    Returns:
        The history, one row per epoch and split.

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
    if state is None:
        raise RuntimeError(f"the training of {run.id} ended without {npz.LAST}")
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
            **selection(state["rows"]),
        )
    return run.history()
