"""What every evaluation begins and ends with: the predictor, the right cases, and the files that say how it went."""

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from medseg import project, registry
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation.detail import FILES
from medseg.experiments.runs import BROUGHT, Run
from medseg.experiments.tables import EVALUATED
from medseg.metrics.overlap import COUNTS, check_complete


def load_predictor(run: Run, device: str = "auto", **options: Any) -> Callable[..., Any]:
    """The best checkpoint of a finished run as a predictor, whichever framework trained it; only that is imported.

    It is a :data:`medseg.evaluation.kinds.Predictor` of the kind of label. ``device`` is ``auto``, ``cpu``, or what
    else the framework has, ``options`` what its ``load_predictor`` takes besides, such as a checkpoint's name. A
    :class:`MedsegError` where the study or its training notebook is not there, or the checkpoint cannot be used.
    """
    record = run.record
    check_network(run)
    training = registry.find(record.get("study", "")).training(record.get("stage", ""))
    return importlib.import_module(training.predictor).load_predictor(run, device, **options)


def check_network(run: Run) -> None:
    """A :class:`MedsegError` for a run whose masks were made elsewhere."""
    if run.record.get("stage") == BROUGHT:
        raise MedsegError(f"The masks of {run.id} were made elsewhere and brought: there is no network to take.")


def check_finished(run: Run, use: str) -> None:
    """A :class:`MedsegError` for a run without a network, or whose training did not end.

    ``use`` is what needs it, as a predicate: ``is exported``.
    """
    check_network(run)
    if run.record.get("status") != "finished":
        raise MedsegError(f"The run {run.id} is {run.status}: only a finished training {use}. Train it first.")


def check_trained_on(run: Run, dataset: PreparedDataset) -> None:
    """Raise a :class:`MedsegError` where a dataset is not the one that the run was trained on."""
    trained_on = run.record["dataset"]["fingerprint"]
    if dataset.fingerprint != trained_on:
        raise MedsegError(
            f"The run {run.id} was trained on a dataset with fingerprint {trained_on[:8]}, but "
            f"{project.display(dataset.folder)} has {dataset.fingerprint[:8]}: it was prepared anew. Train again, or "
            "restore it."
        )


def test_cases(run: Run, dataset: PreparedDataset) -> pd.DataFrame:
    """Rows of the test split; a :class:`MedsegError` where there is none, or the run was trained on another dataset."""
    check_trained_on(run, dataset)
    cases = dataset.split("test")
    if cases.empty:
        raise MedsegError(f"{dataset.info['name']} has no test cases. Prepare it so that there is a test set.")
    return cases


def case_table(counted: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of ``cases.csv`` from its rows; identity and counts come first."""
    table = pd.DataFrame(counted)
    first = ["test_set", "case_id", "group", "class", *COUNTS]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def write(
    run: Run,
    table: pd.DataFrame,
    encoded: Iterable[Mapping[str, str]],
    expected_ids: Iterable[str],
    started: float,
    further: Mapping[str, pd.DataFrame] | None = None,
    **evaluation: Any,
) -> None:
    """Write ``predictions/TEST_SET.csv``, ``cases.csv``, and the record's ``evaluation`` and checksums, in this order.

    ``further`` are tables by the name of their file, see :class:`medseg.evaluation.detail.Detail`.

    ``encoded`` has for each case and class test_set, image_name, class and rle; ``started`` is ``time.monotonic()`` at
    the start, ``evaluation`` further entries of the record: the threshold rule and what else was done to the masks. A
    :class:`MedsegError` where a case of ``expected_ids`` is missing in ``table``, there twice, or not expected.
    """
    check_complete(table, expected_ids)
    run.forget_evaluation()
    for test_set, rows in pd.DataFrame(encoded).groupby("test_set"):
        run.write_table(f"predictions/{test_set}.csv", rows[["image_name", "class", "rle"]])
    run.write_table("cases.csv", table)
    for name in FILES:
        if further and name in further:
            run.write_table(name, further[name])
        else:  # of an evaluation before
            (run.folder / name).unlink(missing_ok=True)
    run.update(
        tables=run.checksums(*EVALUATED),
        evaluation={
            "checkpoint": "best",
            "scoring": "native resolution",
            "n_cases": {name: int(rows["case_id"].nunique()) for name, rows in table.groupby("test_set")},
            **evaluation,
        },
        durations={
            **run.record.get("durations", {}),
            "evaluate_seconds": round(time.monotonic() - started, 1),
        },
        error=None,
    )
