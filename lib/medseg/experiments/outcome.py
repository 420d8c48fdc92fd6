"""What the record of a training says, and how it reacts to a lack of memory; the same for all frameworks."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, records, reuse_training
from medseg.experiments.job import HALVINGS_VARIABLE, OUT_OF_MEMORY
from medseg.experiments.provenance import Device
from medseg.experiments.runs import Run

State = Mapping[str, Any]


def batches(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Batch size and accumulation, halved and doubled as often as the sweep asks after running out of memory."""
    factor = 2 ** int(os.environ.get(HALVINGS_VARIABLE, "0"))
    batch_size = parameters["batch_size"]
    # A batch of one cannot be halved: accumulating over more of them would be another training.
    return max(1, math.ceil(batch_size / factor)), parameters["accumulate"] * min(factor, batch_size)


def out_of_memory(device: Device, parameters: Mapping[str, Any]) -> MedsegError:
    """The error for a training that ran out of memory: what was asked for, and what to try."""
    batch_size, accumulate = batches(parameters)
    what = f"{OUT_OF_MEMORY.capitalize()} on {device.name} with batch_size={batch_size} at resolution "
    if batch_size == 1:
        return MedsegError(f"{what}{parameters['resolution']}. Try a lower resolution or a smaller network.")
    smaller = batch_size // 2
    more = math.ceil(accumulate * batch_size / smaller)
    return MedsegError(
        f"{what}{parameters['resolution']}. Try batch_size={smaller} and accumulate={more}, which "
        "trains the same but for batch normalisation and losses that are taken over the whole batch."
    )


def unusable(checkpoint: Path, reason: object) -> MedsegError:
    """The error for a checkpoint of a finished training that does not load; the first line of the reason counts."""
    first_line = str(reason).partition("\n")[0]
    if not checkpoint.is_file() and (when := records.known(checkpoint.parent.parent).get("pruned")):
        first_line = f"'medseg runs prune' removed it, {when}"
    record = project.display(checkpoint.parent.parent / records.NAME)
    return MedsegError(
        f"{project.display(checkpoint)} cannot be used ({first_line}), and no other weights take its place: they would "
        f"be another result. Train the run again: delete {record} and repeat the sweep, which begins it anew. "
        "'medseg evaluate RUN --checkpoint NAME' scores another checkpoint apart."
    )


@contextmanager
def reading(checkpoint: Path) -> Iterator[None]:
    """Around the reading of a checkpoint that training goes on from: whatever goes wrong becomes one message."""
    try:
        yield
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise MedsegError(
            f"The checkpoint {checkpoint.name} of the run {checkpoint.parent.parent.name} cannot be read ({error}). "
            "Delete the folder checkpoints/ of the run to train it from the start."
        ) from error


def train(
    run: Run,
    model: Any,
    parameters: Mapping[str, Any],
    device: Device,
    read_state: Callable[[Run], State | None],
    fit: Callable[[State | None], None],
    *,
    metric: str,
    rule: str,
    lower: Callable[[Path, str], None],
    selection: Callable[[list[dict[str, Any]]], Mapping[str, Any]] = lambda _: {},
) -> pd.DataFrame:
    """Let ``fit`` train to the end, unless that has happened before, and record what came out of it; gives the history.

    Args:
        run: held by :func:`runs.training`.
        read_state: what the last checkpoint of a run holds of :meth:`History.state`; None where there is none.
        fit: begins, or goes on from that state; it leaves the checkpoint of its last epoch.
        lower: as :func:`checkpoints.lower_precision` takes it.
        selection: further facts about the choice, from the rows of the history; for the rest see :func:`finish`.

    An unfinished training one of whose checkpoints is damaged begins anew; the record says so under ``begun_anew``.
    The checkpoint to go on from goes when the training is finished, unless ``parameters`` keep it.

    Raises:
        MedsegError: out of memory, or a checkpoint that cannot be read.
    """
    if run.record.get("status") == "finished":
        return run.history()
    state = _whole_state(run, read_state)
    if state is None and reuse_training.begin_with_shorter(run, parameters):
        state = read_state(run)
    if state is None or not state["ended"] or _is_longer(state, parameters):
        try:
            fit(state)
        except Exception as error:
            if not device.is_out_of_memory(error):
                raise
            raise out_of_memory(device, parameters) from error
        state = read_state(run)
    assert state is not None, f"the training of {run.id} ended without a checkpoint"
    history = pd.DataFrame(state["rows"])
    run.write_table("history.csv", history)  # a kill may have come between the checkpoint and the table
    checkpoints.lower_precision(run.checkpoints, parameters, lower)
    finish(run, parameters, history, device, model, metric, rule, state, **selection(state["rows"]))
    if not checkpoints.keeps_last(parameters):
        checkpoints.drop_last(run.checkpoints)
    return run.history()


def _whole_state(run: Run, read_state: Callable[[Run], State | None]) -> State | None:
    """What ``read_state`` gives; None, and no checkpoint is left, where the best or the last one is not whole."""
    fault = checkpoints.fault_in(run.checkpoints)
    state = None if fault else read_state(run)
    validated = state is not None and any(row["split"] == "validation" for row in state["rows"])
    if not fault and validated and not any(run.checkpoints.glob("best*")):
        fault = "the best checkpoint is gone"
    if not fault:
        return state
    checkpoints.forget(run.checkpoints)
    run.update(begun_anew=fault)
    print(f"The training begins anew: {fault}.")
    return None


def _is_longer(state: State, parameters: Mapping[str, Any]) -> bool:
    """Whether ``state`` ended with its last epoch, and more are asked for now."""
    return state.get("ended_by") == "max_epochs" and state["epoch"] < parameters["max_epochs"]


def finish(
    run: Run,
    parameters: Mapping[str, Any],
    history: pd.DataFrame,
    device: Device,
    model: Any,
    metric: str,
    rule: str,
    state: State | None = None,
    **selection: Any,
) -> None:
    """Say in the record that the training ended well, and what came out of it.

    Args:
        history: one row per epoch and split; ``seconds`` of a ``train`` row are those of the whole epoch.
        model: what was trained, with the ``weights`` it began with, parameters_total and parameters_trainable.
        metric: column of ``history`` by whose greatest validation value the checkpoint was chosen; without any a
            :class:`MedsegError`.
        rule: how it was chosen, for a person; ``selection`` has further facts.
        state: of the last checkpoint, see :meth:`medseg.experiments.history.History.state`: how many steps were
            trained, and what ended it. Older ones do not say; the steps stay unknown then.
    """
    batch_size, accumulate = batches(parameters)
    run.finish(
        device={
            **{"kind": device.kind, "name": device.name, "precision": device.precision},
            **({"count": device.count} if device.count > 1 else {}),
        },
        model={
            "name": parameters["architecture"],
            "weights": model.weights,
            "parameters_total": model.parameters_total,
            "parameters_trainable": model.parameters_trainable,
        },
        batch={"batch_size": batch_size, "accumulate": accumulate, "halved": batch_size < parameters["batch_size"]},
        selection={**_selection(history, parameters["max_epochs"], metric, rule, state or {}), **selection},
        durations={"train_seconds": round(float(history.loc[history["split"] == "train", "seconds"].sum()), 1)},
        peak_memory_mb=device.peak_memory_mb(),
    )


def _selection(history: pd.DataFrame, max_epochs: int, metric: str, rule: str, state: State) -> dict[str, Any]:
    validation = history[history["split"] == "validation"]
    if validation[metric].isna().all():
        raise MedsegError(
            "No validation case shows a structure or was predicted to, so no epoch is better than another. Check the "
            "labels of the split validation."
        )
    best = validation.loc[validation[metric].idxmax()]
    trained = int(history["epoch"].max())
    ended_by = state.get("ended_by") or ("early stopping" if trained < max_epochs else "max_epochs")
    return {
        "rule": rule,
        "metric": f"validation {metric}",
        "mode": "max",
        "best_epoch": int(best["epoch"]),
        "best_value": float(best[metric]),
        "epochs_trained": trained,
        **({"steps_trained": state["steps"]} if "steps" in state else {}),
        "ended_by": ended_by,
        "stopped_early": ended_by == "early stopping",
    }
