"""Free the disk of what finished runs no longer need; their figures, tables and predictions stay.

The best few runs of a study keep what predicts: the checkpoint that was scored. Runs are ranked by their mean Dice,
that of each test set counting the same, among those of the same data and fold alone: other cases are no comparison. Of
all other scored runs the checkpoints go; on request the whole folder. What is not scored yet is left alone.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from medseg import atomic
from medseg.experiments import listing
from medseg.experiments.identity import fold_of
from medseg.experiments.runs import Run

#: Beginnings of the files without which a scored checkpoint cannot be read: PyTorch and Keras 2, Keras 3.
_SCORED = ("best.", "best_loss.", "frozen.")


@dataclass(frozen=True)
class Removal:
    """What would be removed of a run: ``paths``, the folder of the run itself where ``whole``."""

    run: Run
    paths: tuple[Path, ...]
    whole: bool
    kept: bool  # whether the run is among the best, and loses only what predicts nothing

    @property
    def bytes(self) -> int:
        """What that frees; a file under several names is freed with the last of them."""
        if self.whole:
            return listing.size(self.run)
        inodes = {path.stat().st_ino for path in self.run.checkpoints.iterdir() if path not in self.paths}
        sizes = {(stat := path.stat()).st_ino: stat.st_size for path in self.paths}
        return sum(size for inode, size in sizes.items() if inode not in inodes)


def plan(runs: Iterable[Run], keep: int, *, whole: bool = False) -> list[Removal]:
    """What is to be removed so that the best ``keep`` runs of each data and fold can still predict.

    Runs that were brought, are not scored, or are being computed are left alone.
    """
    scored = [run for run in runs if listing.state(run) == "evaluated" and not run.damaged]
    ranked: dict[tuple[object, ...], list[tuple[float, Run]]] = {}
    for run in scored:
        record = run.record
        question = record["study"], record["dataset"]["fingerprint"], fold_of(record)
        ranked.setdefault(question, []).append((_mean(run), run))
    removals = []
    for members in ranked.values():
        members.sort(key=lambda pair: (-pair[0], pair[1].id))
        for place, (_, run) in enumerate(members):
            kept = place < keep
            removed_whole = whole and not kept
            files = () if removed_whole else tuple(_files(run, kept))
            if files or removed_whole:
                removals.append(Removal(run, files, removed_whole, kept))
    return removals


def remove(removal: Removal) -> None:
    """Do it, and note in the record when; a :class:`MedsegError` where another process holds the run."""
    run = removal.run
    message = f"The run {run.id} is being computed by another process; nothing of it was removed."
    with atomic.holding(run.lock(), message):
        if not removal.whole:
            if not removal.kept:
                run.update(pruned=datetime.now(timezone.utc).isoformat(timespec="seconds"))
            for path in removal.paths:
                path.unlink(missing_ok=True)
            return
    shutil.rmtree(run.folder)


def _mean(run: Run) -> float:
    means = [value for value in listing.means(run).values() if value is not None]
    return float(np.mean(means)) if means else -1.0


def _files(run: Run, kept: bool) -> list[Path]:
    files = sorted(path for path in run.checkpoints.glob("*") if path.is_file())
    return [path for path in files if not (kept and path.name.startswith(_SCORED))]
