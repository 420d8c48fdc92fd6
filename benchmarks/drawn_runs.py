"""Runs whose numbers are drawn, complete as a training and its evaluation leave them, but for pictures and networks."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from medseg.evaluation.detail import CALIBRATION, FALSE_POSITIVE, OBJECT_COLUMNS, OBJECTS, TRUE
from medseg.experiments import tables
from medseg.experiments.identity import run_id
from medseg.experiments.runs import Run
from medseg.metrics.calibration import BinnedCounts
from medseg.metrics.overlap import binary_iou, with_overlap
from medseg.metrics.saliency import MEASURES

SHARES = {"ClinicDB": 0.7, "ETIS": 0.3}  # of the cases
GROUP = 12  # cases of one video
EPOCHS = 40
PIXELS = 288 * 384
_DATA = {"path": "data/drawn", "name": "drawn", "protocol": "colondb", "fingerprint": "0" * 64, "classes": ["polyp"]}
_RULES = {"threshold": 0.5, "rule": "fixed at 0.5", "scoring": "native resolution", "checkpoint": "best"}
_NETWORKS = ("unet", "dilated-resnet-unet", "smp-unet", "smp-unetplusplus")
_BACKBONES = ("resnet18", "resnet34", "resnet50", "efficientnet-b1", "densenet169")
_RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3)


def draw(runs_folder: Path, runs: int, cases: int) -> None:
    """``runs`` configurations of the polyp study, scored on the same ``cases``; the same numbers at every call."""
    rows = list(product(_NETWORKS, _BACKBONES, _RATES, range(1, 1 + -(-runs // 100))))[:runs]
    rng = np.random.default_rng(0)
    places = [
        (name, f"{name}/{i:04d}", f"{name}/{i // GROUP}")
        for name, share in SHARES.items()
        for i in range(round(share * cases))
    ]
    identity = pd.DataFrame(places, columns=["test_set", "case_id", "group"]).assign(**{"class": "polyp"})
    truth = (PIXELS * rng.uniform(0.01, 0.2, len(identity))).astype(int)
    _, videos = np.unique(identity["group"], return_inverse=True)
    hard = 0.12 * rng.normal(size=videos.max() + 1)[videos] + 0.1 * rng.normal(size=len(identity))
    for number, (network, backbone, rate, seed) in enumerate(rows):
        quality = 0.5 + 0.35 * number / runs + 0.02 * rng.normal()
        recall = np.clip(quality + 0.05 + hard + 0.05 * rng.normal(size=len(identity)), 0, 1)
        parameters = {
            "data": "data/drawn", "architecture": network, "backbone": backbone, "weights": "imagenet",
            "resolution": 384, "batch_size": 8, "max_epochs": EPOCHS, "learning_rate": rate, "loss": "dice",
            "augmentation": "warp", "seed": seed,
        }  # fmt: skip
        run = Run(runs_folder / "polyp" / run_id("polyp", "2_train_torch", parameters, _DATA["fingerprint"], {}))
        tp = (truth * recall).astype(int)
        fp = (truth * rng.uniform(0.05, 0.3, len(truth))).astype(int)
        counts = {"tp": tp, "fp": fp, "fn": truth - tp, "tn": PIXELS - truth - fp}
        scored = _measured(with_overlap(identity.assign(**counts)), rng)
        run.write_table("cases.csv", scored)
        run.write_table(OBJECTS, _objects(scored, rng))
        run.write_table(CALIBRATION, _binned(quality, rng))
        run.write_table(tables.HISTORY, _history(quality, rng))
        run.update(**_record(run, parameters, number, quality, scored))


def _measured(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    near = cases["dice"].to_numpy()
    further = {"hd95": 200 * (1 - near) * rng.uniform(0.5, 1, len(near)), "surface_dice": near**3}
    further["binary_iou"] = binary_iou(*(cases[name] for name in ("tp", "fp", "fn", "tn")))
    further |= {name: near * rng.uniform(0.9, 1, len(near)) for name in MEASURES if name != "mae"}
    return cases.assign(**further, mae=0.1 * (1 - near))


def _objects(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    pixels, found = cases["tp"] + cases["fn"], (cases["dice"] > 0.5).astype(float)
    true = cases.assign(kind=TRUE, pixels=pixels, found=found)
    false = cases[rng.random(len(cases)) < 0.15].assign(kind=FALSE_POSITIVE, pixels=400, found=np.nan, iou=np.nan)
    return pd.concat([true, false])[list(OBJECT_COLUMNS)]


def _binned(quality: float, rng: np.random.Generator) -> pd.DataFrame:
    found = {}
    for name in SHARES:
        binned = BinnedCounts()
        truth = rng.random((128, 128)) < 0.1
        binned.add(np.clip(truth * quality + 0.2 * rng.random(truth.shape), 0, 1), truth)
        found[name] = binned.table()
    return pd.concat(found, names=["test_set"]).reset_index(level=0)


def _history(quality: float, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for epoch, (split, gap) in product(range(1, EPOCHS + 1), (("train", 0.0), ("validation", 0.06))):
        dice = quality * (1 - np.exp(-epoch / 8)) - gap * quality + 0.01 * rng.normal()
        rate = 1e-3 * 0.5 ** (epoch // 15)
        rows.append((epoch, split, 1 - dice, dice, dice / (2 - dice), rate, 50.0))
    return pd.DataFrame(rows, columns=["epoch", "split", "loss", "dice", "iou", "learning_rate", "seconds"])


def _record(run: Run, parameters: dict, number: int, quality: float, cases: pd.DataFrame) -> dict:
    size = 5e6 * (1 + number % 20)
    device = {"kind": "cpu", "name": "drawn", "precision": "fp32"}
    sizes = cases.groupby("test_set").size().to_dict()
    means = cases.groupby("test_set")[list(MEASURES)].mean()
    saliency = {name: {**means.loc[name].to_dict(), "n_scored": count} for name, count in sizes.items()}
    cost = {
        "resolution": 384, "parameters": size, "macs": 2e3 * size, "device": device, "threads": 1, "processors": 2,
        "latency": {"batch": 1, "ms": 2e-6 * size, "quartiles_ms": [1e-6 * size, 3e-6 * size], "calls": 30},
        "throughput": {"batch": 8, "pictures_per_second": 4e8 / size, "calls": 7}, "others": 0.0,
    }  # fmt: skip
    return {
        "run_id": run.id, "study": "polyp", "stage": "2_train_torch", "status": "finished", "parameters": parameters,
        "weights_files": {}, "seed": parameters["seed"], "error": None, "device": device, "cost": cost,
        "dataset": {**_DATA, "counts": {"samples": len(cases), "test_sets": sizes}},
        "git": {"commit": "0" * 40, "dirty": False},
        "model": {"name": parameters["architecture"], "weights": "imagenet", "parameters_total": size},
        "selection": {
            "rule": "highest validation Dice", "metric": "dice", "mode": "max", "best_epoch": EPOCHS - 1,
            "best_value": quality, "epochs_trained": EPOCHS, "ended_by": "max_epochs", "stopped_early": False,
        },
        "durations": {"train_seconds": 50.0 * EPOCHS, "evaluate_seconds": 20.0},
        "evaluation": {
            **_RULES, "n_cases": sizes, "surface_tolerance_px": 2.0,
            "saliency": {"rule": "as drawn", "test_sets": saliency},
        },
        "tables": run.checksums(tables.HISTORY, "cases.csv", OBJECTS, CALIBRATION),
    }  # fmt: skip
