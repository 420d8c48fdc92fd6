"""A small prepared dataset of drawn ellipses and runs over it, so that reports can be tested without any training."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from medseg.datasets import index
from medseg.evaluation import kinds
from medseg.evaluation.detail import Detail
from medseg.experiments.runs import Run, prepare_run, training
from medseg.masks import rle
from medseg.metrics.overlap import confusion_counts, with_overlap

HEIGHT, WIDTH = 144, 176
TEST_SETS = {"ClinicDB": 20, "ETIS": 16}
EPOCHS = 12

#: Parameters that differ, and how good the run is (0 to 1).
ROWS = (
    ({"architecture": "attention-unet", "backbone": "none", "seed": 1}, 0.90),
    ({"architecture": "dilated-unet", "backbone": "resnet34", "seed": 1}, 0.78),
    ({"architecture": "Unet", "backbone": "resnet50", "seed": 1}, 0.89),
    ({"architecture": "Unet", "backbone": "resnet50", "seed": 2}, 0.87),
    ({"architecture": "Unet", "backbone": "efficientnet-b1", "seed": 1}, 0.55),
)


def make_dataset(folder: Path, seed: int = 0) -> index.PreparedDataset:
    """Ellipses on a tinted ground: a few to train and validate, and the test sets of ``TEST_SETS``."""
    rng = np.random.default_rng(seed)
    splits = [("train", "", 4), ("validation", "", 2), *(("test", name, n) for name, n in TEST_SETS.items())]
    with index.writing(
        folder, study="polyp", name=f"ellipses-{seed}", protocol="colondb", classes=["polyp"], channels="RGB"
    ) as draft:
        for split, test_set, n in splits:
            for i in range(n):
                case = f"{test_set or split}-{i:02d}".lower()
                image, mask = _picture(rng, empty=test_set == "ETIS" and i == 3)
                for name, pixels in (("images", image), ("labels", mask * 255)):
                    draft.write_file(f"{name}/{case}.png", cv2.imencode(".png", pixels)[1].tobytes())
                draft.rows.append(
                    {
                        "case_id": case,
                        "image": f"images/{case}.png",
                        "label": f"labels/{case}.png",
                        "group": f"{test_set or split}-s{i // 2}",
                        "split": split,
                        "fold": -1,
                        "test_set": test_set,
                    }
                )
    return index.load(folder)


def make_runs(dataset: index.PreparedDataset) -> list[Run]:
    """One finished, scored run per entry of ``ROWS``, in the runs folder of the project."""
    return [make_run(dataset, parameters, quality) for parameters, quality in ROWS]


def make_run(dataset: index.PreparedDataset, varied: dict, quality: float) -> Run:
    """A finished run whose predictions are the truth, deformed the more the lower ``quality`` is."""
    parameters = {"data": str(dataset.folder), "resolution": 256, "loss": "dice", "max_epochs": EPOCHS, **varied}
    parameters["learning_rate"] = 1e-4
    run = prepare_run("polyp", "2_train_torch", parameters, dataset)
    with training(run, "polyp", "2_train_torch", parameters, dataset):
        rng = np.random.default_rng(int(quality * 100) * 10 + varied["seed"])
        run.write_table("history.csv", _history(rng, quality))
        run.finish(
            model={"name": parameters["architecture"], "parameters_total": round(3e7 * quality), "weights": "random"},
            device={"name": "test device", "precision": "fp32"},
            selection={
                "rule": "highest validation Dice", "metric": "dice", "mode": "max", "best_epoch": EPOCHS - 1,
                "best_value": quality, "epochs_trained": EPOCHS, "stopped_early": False,
            },
            durations={"train_seconds": 600 * quality, "evaluate_seconds": 12.0},
        )  # fmt: skip
    cases, predictions, further = _score(dataset, rng, quality)
    run.write_table("cases.csv", with_overlap(cases))
    for name, table in further.items():
        run.write_table(name, table)
    for name, table in predictions.items():
        run.write_table(f"predictions/{name}.csv", table)
    evaluation = {"threshold": 0.5, "rule": "fixed at 0.5", "scoring": "native resolution", "checkpoint": "best"}
    run.update(evaluation={**evaluation, "n_cases": TEST_SETS}, git={"commit": "0" * 40, "dirty": False})
    return run


def _picture(rng: np.random.Generator, empty: bool) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    light = np.exp(-(((x - rng.uniform(60, 120)) / 90) ** 2) - ((y - rng.uniform(50, 90)) / 80) ** 2)
    image = np.stack([60 + 60 * light, 70 + 80 * light, 120 + 110 * light], axis=2)
    image += rng.normal(0, 6, (HEIGHT, WIDTH, 1)) + 8 * np.sin((x + 2 * y) / 17)[:, :, None]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if not empty:
        centre = (int(rng.integers(45, WIDTH - 45)), int(rng.integers(40, HEIGHT - 40)))
        axes = (int(rng.integers(10, 34)), int(rng.integers(9, 28)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        image += cv2.GaussianBlur(mask.astype(float), (0, 0), 3)[:, :, None] * (20, 34, 40)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def _score(dataset: index.PreparedDataset, rng: np.random.Generator, quality: float):
    rows, predictions = [], {}
    detail = Detail(kinds.of("binary", ["polyp"]))
    for sample in dataset.split("test").itertuples():
        truth = (cv2.imread(str(dataset.path(sample.label)), cv2.IMREAD_GRAYSCALE) > 127).astype(np.uint8)
        hard = 1.3 if sample.test_set == "ETIS" else 0.8
        shift = rng.normal(0, (1 - quality) * 26 * hard, 2)
        warp = np.array([[1, 0.1 * (1 - quality), shift[0]], [0, 1, shift[1]]])
        found = cv2.warpAffine(truth, warp, (WIDTH, HEIGHT), flags=cv2.INTER_NEAREST)
        if rng.random() < (1 - quality) * 0.4 * hard:
            found[:] = 0
        counts = confusion_counts(found, truth)
        place = pd.Series(sample._asdict())
        detail.match(place, "polyp", found, truth)
        detail.see(place, truth, "polyp", cv2.GaussianBlur(found.astype(np.float32), (0, 0), 4) * 0.98)
        rows.append(
            {"test_set": sample.test_set, "case_id": sample.case_id, "group": sample.group, "class": "polyp"}
            | counts._asdict()
        )
        predictions.setdefault(sample.test_set, []).append((sample.case_id, "polyp", rle.encode(found)))
    tables = {k: pd.DataFrame(v, columns=["image_name", "class", "rle"]) for k, v in predictions.items()}
    return pd.DataFrame(rows), tables, detail.tables()


def _history(rng: np.random.Generator, quality: float) -> pd.DataFrame:
    rows = []
    for epoch in range(1, EPOCHS + 1):
        for split, gap in (("train", 0.0), ("validation", 0.06)):
            dice = quality * (1 - np.exp(-epoch / 3)) - gap + rng.normal(0, 0.012)
            rows.append(
                {
                    "epoch": epoch, "split": split, "loss": 1 - dice, "dice": dice, "iou": dice / (2 - dice),
                    "learning_rate": 1e-4 if epoch < 8 else 5e-5, "seconds": 50.0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def bare_run(folder: Path, scores: dict[str, list[float]], *, groups: int = 100, **parameters: object) -> Run:
    """A finished run without pictures whose cases of 10,000 true pixels have the Dice values of ``scores``.

    The cases of a test set fall into ``groups`` groups in turn.
    """
    run = Run(folder)
    rows = []
    for test_set, values in scores.items():
        for i, dice in enumerate(values):
            tp = round(10_000 * dice)
            counts = {"tp": tp, "fp": 10_000 - tp, "fn": 10_000 - tp, "tn": 980_000 + tp}
            case = f"{test_set}-{i:02d}"
            rows.append({"test_set": test_set, "case_id": case, "group": f"g{i % groups}", "class": "polyp", **counts})
    run.write_table("cases.csv", with_overlap(pd.DataFrame(rows)))
    run.write_table("history.csv", _history(np.random.default_rng(0), 0.8))
    dataset = {"path": "data/polyp", "name": "polyp", "protocol": "colondb", "fingerprint": "ab" * 32}
    run.update(
        run_id=run.id, study="polyp", stage="2_train_torch", status="finished", dataset=dataset, parameters=parameters,
        seed=parameters.get("seed"), evaluation={"threshold": 0.5, "rule": "fixed at 0.5"},
    )  # fmt: skip
    return run
