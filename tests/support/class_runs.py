"""Runs over several classes without any training: three drawn structures, one of them often missed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medseg.experiments.runs import Run
from medseg.metrics.overlap import with_overlap

CLASSES = ("finger-1", "Pisiform", "Radius")


def class_run(
    folder: Path, quality: float, *, patients: int = 8, known: bool = True, first: int = 0, **parameters: object
) -> Run:
    """A finished run whose Radius is nearly right, whose finger-1 has Dice ``quality`` and whose Pisiform is worse.

    The Pisiform of patient 0 is missed altogether. The patients are ``first`` and those after; a parameter ``fold``
    names the test set, a ``seed`` the run's.
    """
    fold, seed = parameters.get("fold", 0), parameters.get("seed", 1)
    run, rng, rows = Run(folder), np.random.default_rng(first), []
    for patient in range(first, first + patients):
        for side in ("L", "R"):
            for name, dice in zip(CLASSES, (quality, quality - 0.3, 0.99), strict=True):
                missed = name == "Pisiform" and patient == 0
                tp = 0 if missed else round(1000 * (dice + 0.01 * rng.uniform(-1, 1)))
                facts = {"sex": "FM"[patient % 2], "age": 20 + 5 * patient, "weight": 60.0, "height": np.nan}
                rows.append(
                    {
                        "test_set": f"fold-{fold}", "case_id": f"ID{patient:03d}-{side}", "group": f"ID{patient:03d}",
                        "class": name, "tp": tp, "fp": 0 if missed else 1000 - tp, "fn": 1000 - tp,
                        "tn": 9000 if missed else 8000 + tp,
                        "hd95": 141.4 if missed else 10 * (1 - dice), "surface_dice": 0.0 if missed else dice,
                        "side": side, **(facts if known else {}),
                    }
                )  # fmt: skip
    run.write_table("cases.csv", with_overlap(pd.DataFrame(rows)))
    run.write_table("history.csv", pd.DataFrame({"epoch": [1, 1], "split": ["train", "validation"], "loss": 0.1}))
    dataset = {"path": "data/handbone", "name": "hands", "fingerprint": "ab" * 32, "classes": list(CLASSES)}
    run.update(
        run_id=run.id, study="handbone", stage="2_train", status="finished", dataset=dataset, seed=seed,
        parameters=parameters, evaluation={"threshold": 0.5, "rule": "fixed", "surface_tolerance_px": 2.0},
    )  # fmt: skip
    return run


def fold_runs(
    folder: Path, quality: float, folds: Sequence[int] = range(5), *, seeds: Sequence[int] = (1,), **parameters: object
) -> list[Run]:
    """A run for every seed and fold, each scored on two patients of its own; the higher the fold, the worse."""
    return [
        class_run(
            folder / f"s{seed}-f{fold}", quality - 0.02 * fold - 0.001 * seed, patients=2, first=2 * fold,
            **{**parameters, "fold": fold, "seed": seed},
        )
        for seed in seeds
        for fold in folds
    ]  # fmt: skip
