"""The run folder: one folder per distinct question, readable by every later stage and by a person.

``run.json`` (status, parameters, provenance, results), ``history.csv`` (one row per epoch and split), ``cases.csv``
(one row per case and class), ``checkpoints/``, ``predictions/`` and the executed notebooks.
"""

import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from medseg import atomic, project
from medseg.datasets import audit, index
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments import provenance, records, tables
from medseg.experiments.identity import run_id, weights_files
from medseg.names import listed

#: Stage of a run whose masks were made elsewhere.
BROUGHT = "brought"
#: Entry of the record of a copy that has tables alone; see :mod:`medseg.experiments.keeping`.
KEPT = "kept"


@dataclass(frozen=True)
class Run:
    """A run folder. All writes are atomic."""

    folder: Path

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def record(self) -> dict[str, Any]:
        """``run.json`` as it is now, {} before the first write; a :class:`MedsegError` where it cannot be read."""
        return records.read(self.folder)

    @property
    def fault(self) -> str:
        """Why the record cannot be used, for a person; empty where it can."""
        return records.fault(self.folder)

    @property
    def status(self) -> str:
        """``absent``, ``running``, ``finished``, ``failed``, or ``interrupted``: running, but held by nobody.

        ``unreadable`` where the record is: :attr:`fault` says why.
        """
        status = records.known(self.folder).get("status", "absent")
        return "interrupted" if status == "running" and not self._held() else status

    @property
    def evaluated(self) -> bool:
        """Whether the training is finished and the cases were scored afterwards."""
        record = records.known(self.folder)
        return record.get("status") == "finished" and "evaluation" in record and (self.folder / "cases.csv").is_file()

    @property
    def damaged(self) -> bool:
        """Whether what an evaluation wrote is no longer there as it was written, so that it has to be scored again."""
        if not self.evaluated:
            return False
        noted = {name: entry for name, entry in self.record.get("tables", {}).items() if name in tables.EVALUATED}
        if "cases.csv" in noted:
            return tables.checksums(self.folder, tuple(noted)) != noted
        try:
            self.cases()
        except MedsegError:
            return True
        return False

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    def update(self, **fields: Any) -> None:
        """Set entries of ``run.json``."""
        atomic.write_json(self.folder / "run.json", {**self.record, **fields})

    def finish(self, **fields: Any) -> None:
        """Say that the training ended well; ``history.csv`` is complete."""
        self.update(status="finished", finished=_now(), error=None, tables=self.checksums(tables.HISTORY), **fields)

    def checksums(self, *names: str) -> dict[str, Any]:
        """The record's ``tables`` with those of ``names`` as they are now; see :mod:`medseg.experiments.tables`."""
        return {**self.record.get("tables", {}), **tables.checksums(self.folder, names)}

    def forget_evaluation(self) -> None:
        """Take out of the record what an evaluation left, before the next one writes: a kill leaves an unscored run."""
        record = {key: value for key, value in self.record.items() if key != "evaluation"}
        kept = {name: entry for name, entry in record.get("tables", {}).items() if name not in tables.EVALUATED}
        atomic.write_json(self.folder / "run.json", {**record, "tables": kept})

    def fail(self, error: str) -> None:
        """Say that the run ended with ``error``; a finished training stays finished."""
        if self.record.get("status") != "finished":
            self.update(status="failed", finished=_now(), error=error)
        else:
            self.update(error=error)

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write ``name`` (such as ``history.csv``) with full precision; NaN is an empty field."""
        path = self.folder / name
        buffer = io.StringIO()
        table.to_csv(buffer, index=False)
        atomic.write_text(path, buffer.getvalue())
        return path

    def history(self) -> pd.DataFrame:
        """``history.csv``: epoch (from 1), split, loss, metric columns, learning_rate, seconds.

        Raises:
            MedsegError: there is none, or it is not what the finished training wrote.
        """
        return self.table(tables.HISTORY, "train it first")

    def cases(self) -> pd.DataFrame:
        """``cases.csv``: one row per case and class, with counts and measures; see ``medseg.evaluation.evaluator``.

        Raises:
            MedsegError: there is none, or it is not what the evaluation wrote.
        """
        return self.table("cases.csv", "run 3_evaluate on it first")

    def lock(self) -> FileLock:
        """The lock that a process holds while it trains or evaluates this run; the system frees it on a kill."""
        return FileLock(self.folder / ".lock")

    def _held(self) -> bool:
        if KEPT in records.known(self.folder):  # nobody computes a copy, and a look at it must leave no lock file
            return False
        try:
            with self.lock().acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a read-only copy, such as runs kept with the tests
            return False

    def table(self, name: str, advice: str) -> pd.DataFrame:
        """A table of the run, checked; ``advice`` says what to do where there is none. See :func:`tables.read`."""
        if not (self.folder / name).is_file():
            raise MedsegError(f"The run {self.id} has no {name}: {advice} ({project.display(self.folder)}).")
        return tables.read(self.folder, name, self._record_of(name))

    def check(self, name: str) -> None:
        """Raise what reading a table that is there would raise; see :func:`tables.check`."""
        tables.check(self.folder, name, self._record_of(name))

    def _record_of(self, name: str) -> dict[str, Any]:
        """The record by which a table is checked."""
        record = self.record
        if name == tables.HISTORY and (record.get("status") != "finished" or self._held()):
            return {**record, "tables": {}}  # it grows; its checksum follows when the training is finished
        return record


def prepare_run(study: str, stage: str, parameters: Mapping[str, Any], dataset: PreparedDataset) -> Run:
    """The run for this question; its folder may be new, interrupted or finished. Nothing is written.

    Raises:
        MedsegError: the dataset is of another study.
    """
    if dataset.info["study"] != study:
        raise MedsegError(
            f"{project.display(dataset.folder)} is prepared for the study {dataset.info['study']}, not for {study}. "
            f"Give data of {study} ('medseg prepare {study}'), or train it with a notebook of {dataset.info['study']}."
        )
    return Run(project.runs_folder() / study / run_id(study, stage, parameters, dataset.fingerprint))


@contextmanager
def training(
    run: Run, study: str, stage: str, parameters: Mapping[str, Any], dataset: PreparedDataset
) -> Iterator[None]:
    """Hold ``run`` while it is trained; ``run.json`` says what is computed, and the error if one ends the block.

    A finished run is held, but its record is left as it is. A kill or an interrupt leaves an interrupted run. A
    :class:`MedsegError` where another process holds the run.
    """
    with _holding(run):
        if run.record.get("status") != "finished":
            run.update(
                run_id=run.id,
                study=study,
                stage=stage,
                status="running",
                started=_now(),
                parameters=dict(parameters),
                weights_files=weights_files(parameters),
                seed=parameters.get("seed"),
                **_made_with(dataset),
                error=None,
            )
        try:
            yield
        except Exception as error:
            run.fail(str(error) if isinstance(error, MedsegError) else f"{type(error).__name__}: {error}")
            raise


@contextmanager
def bringing(
    run: Run, study: str, parameters: Mapping[str, Any], dataset: PreparedDataset, told: Mapping[str, Any]
) -> Iterator[None]:
    """Hold ``run`` while the scores of what was made elsewhere are taken into it; it has no training.

    ``told`` is its record's ``brought``: name, from, stretched, cases (how many are scored), of (how many there are).

    Where that fails, a new run leaves nothing, and an old one its record. A :class:`MedsegError` where another process
    holds it.
    """
    with _holding(run):
        before = run.record
        described = {"run_id": run.id, "study": study, "stage": BROUGHT, "parameters": dict(parameters), "seed": None}
        times = {"started": _now(), "finished": _now()}
        atomic.write_json(
            run.folder / "run.json",
            {**described, "status": "finished", "brought": dict(told), **times, **_made_with(dataset), "error": None},
        )
        try:
            yield
        except BaseException:
            if before:
                atomic.write_json(run.folder / "run.json", before)
            else:
                shutil.rmtree(run.folder, ignore_errors=True)
            raise


@contextmanager
def evaluating(run: Run) -> Iterator[None]:
    """Hold a finished ``run`` while its cases are scored; a :class:`MedsegError` if it is not, or held elsewhere."""
    if run.record.get("status") != "finished":
        raise MedsegError(f"The run {run.id} is {run.status}: only a finished training is evaluated. Train it first.")
    with _holding(run):
        yield


@contextmanager
def _holding(run: Run) -> Iterator[None]:
    with atomic.explained(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
    message = f"The run {run.id} is being computed by another process. Wait for it, or end it, then run again."
    with atomic.holding(run.lock(), message):
        yield


def all_runs(study: str | None = None) -> list[Run]:
    """Every run folder with a ``run.json``, by study and name."""
    pattern = f"{study or '*'}/*/run.json"
    return [Run(path.parent) for path in sorted(project.runs_folder().glob(pattern))]


def usable_runs(study: str | None = None) -> list[Run]:
    """As :func:`all_runs`, without those whose record cannot be used."""
    return [run for run in all_runs(study) if not run.fault]


def example_runs(study: str) -> list[Run]:
    """Small runs on sample data that come with the project, to look at where none was trained yet."""
    return [Run(path.parent) for path in sorted((project.root() / "tests/fixtures/runs").glob(f"{study}/*/run.json"))]


def find_run(study: str, wanted: str) -> Run:
    """The run whose id, or unambiguous start or end of an id, or folder is ``wanted``; ``latest``: last finished.

    ``study`` empty: of whatever study. A :class:`MedsegError` where there is none, or more than one, or its record
    cannot be used; such a run is never the latest.
    """
    runs = all_runs(study or None)
    if wanted == "latest":
        done = [
            run
            for run in usable_runs(study or None)
            if run.record.get("status") == "finished" and run.record.get("stage") != BROUGHT
        ]
        if done:
            return max(done, key=lambda run: str(run.record.get("finished", "")))
        of = f" of {study}" if study else ""
        raise MedsegError(f"No finished run{of} in {project.display(project.runs_folder())}: train one first.")
    if (project.resolve(wanted) / "run.json").is_file():
        return _checked(Run(project.resolve(wanted)))
    found = [r for r in runs if r.id == wanted] or [r for r in runs if r.id.startswith(wanted) or r.id.endswith(wanted)]
    if len(found) == 1:
        return _checked(found[0])
    names = listed([run.id for run in found or runs], most=8) or "none yet"
    raise MedsegError(
        f"{len(found)} runs{f' of {study}' if study else ''} match {wanted!r}. Give a whole run id or folder; "
        f"{'they are' if found else 'there are'}: {names}."
    )


def _checked(run: Run) -> Run:
    if run.fault:
        raise MedsegError(f"The run {run.id} cannot be used: {run.fault}")
    return run


def dataset_of(run: Run) -> PreparedDataset:
    """The dataset of a run; a :class:`MedsegError` where it is gone, was prepared anew, or the run is a kept copy."""
    if kept := run.record.get(KEPT):
        raise MedsegError(f"of this run there is a copy here: {kept}.")
    described = run.record["dataset"]
    dataset = index.load(described["path"])
    if dataset.fingerprint != described["fingerprint"]:
        raise MedsegError(
            f"the data at {project.display(dataset.folder)} was prepared anew since (it was "
            f"{described['fingerprint'][:8]}, it is {dataset.fingerprint[:8]})."
        )
    return dataset


def predictions_of(run: Run, test_set: str) -> dict[tuple[str, str], str]:
    """Run-length code of every mask of a test set, by image name and class.

    Raises:
        MedsegError: the run has no readable table of them, or they are not those that were scored.
    """
    table = tables.predictions(run.folder, test_set, run.record)
    return dict(zip(zip(table["image_name"], table["class"], strict=True), table["rle"], strict=True))


def _made_with(dataset: PreparedDataset) -> dict[str, Any]:
    """What a record says of data and code."""
    known = {key: dataset.info.get(key) for key in ("name", "protocol", "fingerprint", "counts", "classes")}
    described = {"path": project.display(dataset.folder), **known, "leakage": audit.record(dataset)}
    return {"dataset": described, "versions": provenance.versions(), "git": provenance.git_state()}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
