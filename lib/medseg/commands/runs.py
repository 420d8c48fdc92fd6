"""Commands about what there is: runs, with prune and migrate; diff."""

import json
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from medseg import project, registry
from medseg.errors import MedsegError
from medseg.experiments import console as terminal
from medseg.experiments import listing, migrate, prune
from medseg.experiments import runs as stored

_STUDIES = ", ".join(registry.names())
_STUDY = typer.Argument(help=f"{_STUDIES}; without it, every study")
_WHERE = typer.Option("--where", metavar="NAME=VALUE", help="only with this parameter, such as backbone=resnet34")
_SWEEP = typer.Option("--sweep", help="only the runs of this started sweep")


class _ListsByDefault(TyperGroup):
    """``medseg runs polyp`` is ``medseg runs list polyp``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer()
group = typer.Typer(
    cls=_ListsByDefault,
    help="List the runs on this machine (the default), free their disk, or bring old ones up to date.",
    epilog="Example: [bold]medseg runs polyp --where backbone=resnet34[/]; [bold]medseg runs list --help[/] says more",
)
app.add_typer(group, name="runs")


@group.command("list", epilog="Example: [bold]medseg runs polyp --failed[/]; [bold]medseg runs --json[/]")
def list_runs(
    study: Annotated[str, _STUDY] = "",
    where: Annotated[list[str] | None, _WHERE] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", help="evaluated, finished, interrupted, running, brought, ...")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="only those that failed, with the whole error")] = False,
    sweep: Annotated[str, _SWEEP] = "",
    as_json: Annotated[bool, typer.Option("--json", help="a JSON list with parameters, figures and sizes")] = False,
) -> None:
    """List the runs on this machine with their state."""
    wanted = [*(states or []), *(listing.FAILED if failed else ())]
    every = stored.all_runs(study or None)
    found = listing.chosen(every, states=wanted, where=where or (), of_sweep=sweep)
    if as_json:
        print(json.dumps([listing.described(run) for run in found], indent=1, ensure_ascii=False))
        return
    for run in found:
        _print_run(run, _told(run, whole=failed))
    if not every:
        terminal.console.print(f"no runs yet in {project.display(project.runs_folder())}; start with 'make demo'")
    elif not found:
        terminal.console.print(f"none of {len(every)} runs is asked for")


@group.command("prune", epilog="Example: [bold]medseg runs prune polyp --keep 3[/]")
def prune_runs(
    study: Annotated[str, _STUDY] = "",
    keep: Annotated[int, typer.Option(min=0, help="the best so many of each data and fold can still predict")] = 3,
    where: Annotated[list[str] | None, _WHERE] = None,
    sweep: Annotated[str, _SWEEP] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="remove the others altogether: tables and reports too")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove checkpoints of scored runs, but for the best; figures stay, and what is not scored yet is left alone."""
    found = listing.chosen(stored.usable_runs(study or None), where=where or (), of_sweep=sweep)
    planned = prune.plan(found, keep, whole=whole)
    if not planned:
        terminal.console.print(f"nothing to remove: of {len(found)} runs none has what it does not need")
        return
    for one in planned:
        what = "all of it" if one.whole else ", ".join(path.name for path in one.paths)
        _print_run(one.run, f"{'one of the best, ' if one.kept else ''}{what}: {one.bytes / 1e6:.1f} MB")
    total = sum(one.bytes for one in planned) / 1e6
    if not yes and not typer.confirm(f"Remove this, {total:.1f} MB of {len(planned)} runs, for ever?"):
        terminal.console.print("nothing was removed")
        return
    faults = []
    for one in planned:
        try:
            prune.remove(one)
        except MedsegError as error:  # one that is held does not keep the others
            faults.append(str(error))
    terminal.console.print(f"{len(planned) - len(faults)} runs pruned")
    if faults:
        raise MedsegError("\n".join(faults))


@group.command("migrate", epilog="Example: [bold]medseg runs migrate --dry-run[/]")
def migrate_runs(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
) -> None:
    """Rename runs from before parameters were renamed, and note checksums of tables that have none.

    Rows lost before that are not found any more.
    """
    planned = migrate.plan()
    for one in planned:
        if one.problem:
            _print_run(one.run, f"left as it is: {one.problem}")
        elif one.needed:
            words = [f"{'would become' if dry_run else 'is now'} {one.new_id}"] if one.new_id != one.run.id else []
            if one.reworded and not words:
                words = [f"{'would tell' if dry_run else 'tells'} parameters that came since"]
            words += [f"{'would get' if dry_run else 'has'} checksums of its tables"] if one.checksums else []
            _print_run(one.run, ", ".join(words))
            if not dry_run:
                migrate.migrate(one)
    needed = sum(one.needed for one in planned)
    terminal.console.print(
        f"{needed} of {len(planned)} runs {'would be' if dry_run else 'were'} changed"
        + ("" if dry_run or not needed else "; build their reports again with 'medseg report'")
    )


@app.command(epilog="Example: [bold]medseg diff 1a2b3c4d 5e6f7a8b[/]")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="run id, its end, or its folder")],
    second: Annotated[str, typer.Argument(metavar="B", help="the run to compare it with")],
    study: Annotated[str, typer.Option(help=f"of both, where an id alone does not say: {_STUDIES}")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for a program")] = False,
) -> None:
    """Say in what two runs differ: parameters, data, code, packages, machine; and in their figures, case by case."""
    from medseg.reporting import diff as differences

    found: Any = differences.of_runs(*(stored.find_run(study, name) for name in (first, second)))
    print(json.dumps(found.as_json(), indent=1, ensure_ascii=False) if as_json else found.as_text())


def _told(run: stored.Run, *, whole: bool) -> str:
    state, error = listing.state(run), listing.error(run)
    record = {} if run.fault else run.record
    text = {"evaluated": "finished, evaluated"}.get(state, state)
    if brought := record.get("brought"):
        text = f"brought, {brought['cases']} of {brought['of']} cases scored" if run.evaluated else "brought"
    text += ", pruned" if record.get("pruned") else ""
    lines = error.splitlines()
    return text + (f": {error if whole or run.fault else lines[-1]}" if lines else "")


def _print_run(run: stored.Run, text: str) -> None:
    line = f"{run.folder.parent.name}/{run.id}  {text}"
    terminal.console.print(line, highlight=False, markup=False, soft_wrap=True)
