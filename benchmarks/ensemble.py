"""Majority vote of 3 models over submissions of 4 pictures with 29 masks of 2048 x 2048 pixels each.

Straightforward: the published way, one picture at a time (it held all of them): every mask decoded, the masks of the
models added up, compared with half of the models and coded again by flattening. Ours: ``combine``, in run-length space.
The models are the true masks of drawn hands, moved and scaled a little; both write the same rows, which is checked.

``time`` is that of the processor, one thread each, a round of one way after a round of the other. ``memory`` is the
peak of what Python and numpy hold (tracemalloc), in a round of its own.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from medseg.datasets.polygons import PolygonSet, draw_class
from medseg.masks import rle, submission
from medseg.masks.ensemble import combine
from medseg.studies.handbone.bones import CLASSES
from phantoms.handbone.sample import draw_hand

PICTURES, MODELS = 4, 3
BARS = {"time": 40, "memory": 100}
UNITS = {"time": ("ms", 1e3), "memory": ("MB", 1e-6)}

Way = Callable[[list[Path], Path, int], None]


def predict(folder: Path, size: int, pictures: int) -> list[Path]:
    """Submissions of the models."""
    rng = np.random.default_rng(0)
    rows: list[list[tuple[str, str, str]]] = [[] for _ in range(MODELS)]
    for number in range(pictures):
        _, bones = draw_hand(number, size, "LR"[number % 2])
        for name, points in bones:
            for model in range(MODELS):
                centre = points.mean(axis=0)
                moved = centre + (points - centre) * rng.uniform(0.97, 1.03) + rng.normal(0, size / 1000, 2)
                mask = draw_class(PolygonSet.of([(0, moved)], (size, size)), 0)
                rows[model].append((f"image{number}.png", name, rle.encode(mask)))
    paths = [folder / f"model-{model}.csv" for model in range(MODELS)]
    for path, of_model in zip(paths, rows, strict=True):
        submission.write(path, of_model)
    return paths


def straightforward(paths: list[Path], out: Path, size: int) -> None:
    """Every mask of a picture decoded and held."""
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
    combined = []
    for image_name in tables[0]["image_name"].unique():
        masks: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
        for table in tables:
            for _, row in table[table["image_name"] == image_name].iterrows():
                masks[row["class"]].append(decoded(row["rle"], size))
        for name, votes in masks.items():
            chosen = (np.sum(votes, axis=0) > len(votes) / 2).astype(np.uint8)
            combined.append((image_name, name, encoded(chosen)))
    pd.DataFrame(combined, columns=submission.HEADER).to_csv(out, index=False)


def decoded(code: str, size: int) -> np.ndarray:
    numbers = np.array(code.split(), dtype=int)
    mask = np.zeros(size * size, np.uint8)
    for start, length in zip(numbers[::2] - 1, numbers[1::2], strict=True):
        mask[start : start + length] = 1
    return mask.reshape(size, size)


def encoded(mask: np.ndarray) -> str:
    padded = np.concatenate([[0], mask.flatten(), [0]])
    edges = np.where(padded[1:] != padded[:-1])[0] + 1
    edges[1::2] -= edges[::2]
    return " ".join(str(number) for number in edges)


def ours(paths: list[Path], out: Path, size: int) -> None:
    """Masks never decoded."""
    combine(paths, out, shape=(size, size))


WAYS: dict[str, Way] = {"straightforward": straightforward, "ours": ours}


def seconds(paths: list[Path], folder: Path, size: int, rounds: int) -> dict[str, float]:
    """Median processor time of a round of each way."""
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            started = time.process_time()
            way(paths, folder / f"{name}.csv", size)
            spent[name].append(time.process_time() - started)
    return {name: median(values) for name, values in spent.items()}


def peak_bytes(paths: list[Path], folder: Path, size: int) -> dict[str, float]:
    """Peak memory of a round of each way, over what was held before."""
    found = {}
    for name, way in WAYS.items():
        tracemalloc.start()
        way(paths, folder / f"{name}.csv", size)
        found[name] = float(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return found


def measure(size: int, pictures: int, rounds: int) -> list[dict[str, Any]]:
    """All rows of the table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = predict(folder, size, pictures)
        # The round for the memory comes first: it loads libraries and fills caches.
        memory = peak_bytes(paths, folder, size)
        results = [list(submission.read(folder / f"{way}.csv")) for way in WAYS]
        if results[0] != results[1]:
            raise RuntimeError("the two ways give different results")
        measured = {"time": seconds(paths, folder, size, rounds), "memory": memory}
    return [
        {"case": "majority", "metric": metric, **both, "ratio": both["straightforward"] / both["ours"]}
        for metric, both in measured.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    parser.add_argument("--tiny", action="store_true", help="one small picture, one round: to see that it runs")
    arguments = parser.parse_args()
    rows = measure(256, 1, rounds=1) if arguments.tiny else measure(2048, PICTURES, rounds=5)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"majority vote: {1 if arguments.tiny else PICTURES} picture(s) x {len(CLASSES)} classes x {MODELS} models")
    print(f"{'metric':12}{'published':>12}{'ours':>10}{'ratio':>9}   bar")
    for row in rows:
        unit, scale = UNITS[row["metric"]]
        values = f"{scale * row['straightforward']:12.2f}{scale * row['ours']:10.2f}"
        print(f"{row['metric'] + ', ' + unit:12}{values}{row['ratio']:8.1f}x   {BARS[row['metric']]}x")


if __name__ == "__main__":
    main()
