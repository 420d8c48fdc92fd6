"""Bring finished runs along when parameters of a notebook get other names: the same question, asked in today's words.

A run id follows from the names and values of all parameters, so a renamed or added one would orphan what was trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medseg import atomic, project, registry
from medseg.errors import MedsegError
from medseg.experiments import params, sweep, tables
from medseg.experiments.identity import as_before, run_id, weights_files
from medseg.experiments.runs import BROUGHT, Run, all_runs

#: Parameters that came later, with the values that mean what was done before there was a choice.
_ADDED = {"logger": [], "checkpoint_minutes": 0.0, "keep_last": True,
    "tta": [], "thresholds": "fixed", "postprocess": "none", "crf": False, "restart_epochs": 10, "restart_factor": 1,
}  # fmt: skip
_PUBLISHED_STEPS = ["flip_left_right", "flip_up_down", "crop", "brightness", "rotate", "noise"]


def _one_text(steps: Any) -> Any:
    """A gastric augmentation, once a list of steps, as the text that says the same today."""
    if not isinstance(steps, list):
        return steps
    return "published" if steps == _PUBLISHED_STEPS else " + ".join(steps) or "none"


#: For a study: old name to new name, and name to the function that says an old value in today's words.
_RENAMED: Mapping[str, Mapping[str, str]] = {"gastric": {"xla": "compile", "restart": "restart_epochs"}}
_REWORDED: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {"gastric": {"augmentation": _one_text}}


@dataclass(frozen=True)
class Migration:
    """What becomes of one run."""

    run: Run  # as it lies
    new_id: str  # what it is called from now on; its own id where nothing has to be done
    parameters: dict[str, Any]  # in today's words
    problem: str = ""  # why it cannot be brought along; empty where it can
    checksums: bool = False  # whether its tables, which are whole as far as can be told, lack checksums in the record

    @property
    def needed(self) -> bool:
        """Whether there is something to do, and it can be done."""
        return not self.problem and (self.reworded or self.checksums)

    @property
    def reworded(self) -> bool:
        """Whether its question is asked in other words today."""
        return self.new_id != self.run.id or self.parameters != self.run.record["parameters"]


def translated(study: str, parameters: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of an older run, as its record has them, in today's words.

    What the run lacks of ``known``, today's, is added where a value means what was done before.
    """
    renamed, reworded = _RENAMED.get(study, {}), _REWORDED.get(study, {})
    found = {renamed.get(name, name): value for name, value in parameters.items()}
    found = {name: reworded[name](value) if name in reworded else value for name, value in found.items()}
    added = {**as_before(found), **_ADDED}
    return {**{name: value for name, value in added.items() if name in known}, **found}


def plan(study: str | None = None) -> list[Migration]:
    """What would become of every run with a record of its parameters."""
    planned = []
    for run in all_runs(study):
        if run.fault:
            planned.append(Migration(run, run.id, {}, run.fault))
            continue
        record = run.record
        name, stage, old = record.get("study", ""), record.get("stage", ""), record.get("parameters")
        if stage == BROUGHT or old is None or "fingerprint" not in record.get("dataset", {}):
            continue
        try:
            registry.find(name).training(stage)
            schema = params.read_schema(project.root() / "notebooks" / name / f"{stage}.ipynb")
            today = translated(name, old, schema.defaults)
            lacking = sorted(set(schema.defaults) - set(today))
            if lacking:
                raise MedsegError(f"nothing is known of its {', '.join(lacking)}, which the notebook asks for today")
            today = schema.complete(today, f"{name}/{run.id}")
        except MedsegError as error:
            planned.append(Migration(run, run.id, old, str(error)))
            continue
        files = record.get("weights_files", weights_files(today))
        new_id = run_id(name, stage, today, record["dataset"]["fingerprint"], files)
        problem = ""
        if new_id != run.id and (run.folder.parent / new_id).exists():
            problem = f"there is a run {new_id} already"
        elif run.status == "running":
            problem = "it is being computed"
        planned.append(Migration(run, new_id, today, problem, _unsealed(run)))
    return planned


def _unsealed(run: Run) -> bool:
    noted = run.record.get("tables", {})
    lacking = tables.HISTORY not in noted or (run.evaluated and "cases.csv" not in noted)
    if run.record.get("status") != "finished" or not lacking:
        return False
    try:
        run.history()
        return not run.evaluated or len(run.cases()) > 0
    except MedsegError:
        return False


def migrate(migration: Migration) -> Run:
    """Carry a planned migration out: record with checksums, folder, and the sweeps that name the run.

    Returns the run as it is now.
    """
    run, old_id = migration.run, migration.run.id
    if migration.checksums:
        run.update(tables=run.checksums(tables.HISTORY, *(tables.EVALUATED if run.evaluated else ())))
    files = run.record.get("weights_files", weights_files(migration.parameters))
    run.update(
        run_id=migration.new_id, parameters=migration.parameters, weights_files=files,
        **({"migrated_from": old_id} if migration.new_id != old_id else {}),
    )  # fmt: skip
    moved = Run(run.folder.with_name(migration.new_id))
    with atomic.explained(moved.folder):
        run.folder.rename(moved.folder)
    for path in sorted(sweep.record_file("x").parent.glob("*.json")):
        try:
            record = sweep.read_record(path.stem)
        except MedsegError:  # of a sweep whose note is damaged nothing can be said; repeating it writes another
            continue
        if old_id in record["run_ids"]:
            ids = [migration.new_id if name == old_id else name for name in record["run_ids"]]
            atomic.write_json(path, {**record, "run_ids": ids})
    return moved
