"""One augmented training sample of the hand-bone study: the published way against polygon space.

Straightforward: the published pipeline, which reads picture and polygons, fills 29 masks of the picture's full size,
hands picture and masks to Albumentations (random resized crop, then rotation) and turns both into float32. (The
published one also computes in float64 on three equal channels; here the picture stays grey and uint8 until the end.)
Ours: ``PolygonItems`` under the preset ``crop_rotate``, which says the same; picture uint8 and int32 bits.

``time`` is that of the processor, one thread each, in one process, a sample of one way after a sample of the other.
``memory`` is the peak of the resident memory over what the process held before its first sample, each way in a process
of its own, with everything counted: arrays, buffers of the libraries, pages of the mapped cache (Linux only).
``fidelity`` is the mean Dice of the masks of untouched samples against the pixels that the polygons cover by half or
more, measured by scikit-image at eight times the resolution; its ratio is that of the errors, 1 - Dice. The hands are
drawn, with corners on whole pixels as annotation tools give them.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
from skimage.draw import polygon2mask

from medseg.datasets import index
from medseg.datasets.polygon_items import PolygonItems
from medseg.datasets.polygons import PolygonSet, dump, parse
from medseg.studies.handbone.bones import CLASSES

Way = Callable[[int], tuple[np.ndarray, np.ndarray]]

BARS = {"time": (60, 40), "memory": (50, 30)}
LEAST_FIDELITY = 0.995
SUPERSAMPLING = 8


def draw_dataset(folder: Path, size: int, hands: int) -> index.PreparedDataset:
    """A prepared dataset of drawn hands, ``size`` pixels square."""
    from phantoms.handbone.sample import draw_hand  # only here: the measuring processes draw none

    with index.writing(folder, study="handbone", name="benchmark", classes=list(CLASSES)) as draft:
        for number in range(hands):
            picture, bones = draw_hand(number, size, "LR"[number % 2])
            outlines = PolygonSet.of([(CLASSES.index(name), np.rint(points)) for name, points in bones], (size, size))
            row = {"case_id": f"hand-{number}", "group": str(number), "split": "train", "fold": 2, "test_set": ""}
            row |= {"image": f"images/{number}.png", "label": f"polygons/{number}.json"}
            draft.write_file(row["image"], cv2.imencode(".png", picture)[1].tobytes())
            draft.write_file(row["label"], dump(outlines, CLASSES).encode())
            draft.rows.append(row)
    return index.load(folder)


def straightforward(dataset: index.PreparedDataset, resolution: int, *, augmented: bool = True) -> Way:
    """The published way to the sample of a number."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version
    import albumentations  # only here: it takes seconds, and our way does without

    rows, square = dataset.split("train"), (resolution, resolution)
    if augmented:
        crop = albumentations.RandomResizedCrop(square, scale=(0.8, 1.0))
        pipeline = albumentations.Compose([crop, albumentations.Rotate(limit=10, p=0.5)], seed=0)
    else:
        pipeline = albumentations.Compose([albumentations.Resize(*square)])

    def sample(number: int) -> tuple[np.ndarray, np.ndarray]:
        picture = cv2.imread(str(dataset.path(rows["image"][number])), cv2.IMREAD_GRAYSCALE)
        annotations = json.loads(dataset.path(rows["label"][number]).read_text("utf-8"))["polygons"]
        masks = np.zeros((*picture.shape, len(CLASSES)), np.uint8)
        for annotation in annotations:
            mask = np.zeros(picture.shape, np.uint8)
            cv2.fillPoly(mask, [np.array(annotation["points"]).astype(np.int32)], 1)
            masks[..., CLASSES.index(annotation["class"])] = mask
        moved = pipeline(image=picture, mask=masks)
        picture = moved["image"].astype(np.float32) / 255
        return picture, np.ascontiguousarray(moved["mask"].transpose(2, 0, 1)).astype(np.float32)

    return sample


def ours(dataset: index.PreparedDataset, resolution: int) -> Way:
    """Our way to the sample of a number."""
    samples = PolygonItems(dataset, dataset.split("train"), resolution=resolution, augmentation="crop_rotate")
    return lambda number: samples.training(0, number)


WAYS = {"straightforward": straightforward, "ours": ours}


def seconds(dataset: index.PreparedDataset, resolution: int, samples: int) -> dict[str, float]:
    """Median processor time of one sample of each way."""
    ways = {name: way(dataset, resolution) for name, way in WAYS.items()}
    hands = len(dataset.index)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 + samples):  # the first ones load libraries and fill caches
        for name, way in ways.items():
            started = time.process_time()
            way(number % hands)
            spent[name].append(time.process_time() - started)
    return {name: median(values[1:]) for name, values in spent.items()}


def peak_bytes(name: str, folder: Path, small: Path, resolution: int) -> int:
    """Peak of the resident memory of one sample; to be called in a process of its own, with the cache already made."""
    cv2.setNumThreads(1)
    WAYS[name](index.load(small), 32)(0)  # loads the libraries, without leaving memory for reuse
    way = WAYS[name](index.load(folder), resolution)
    Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew, see proc(5)
    before = high_water()
    kept = way(0)
    assert len(kept) == 2  # what a sample returns is still held where the mark is read
    return high_water() - before


def high_water() -> int:
    """Greatest resident memory of this process since the mark was started, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def memory(folder: Path, small: Path, resolution: int) -> dict[str, float]:
    """Peak memory of one sample of each way, in bytes."""
    found = {}
    for name in WAYS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[name] = float(pool.apply(peak_bytes, (name, folder, small, resolution)))
    return found


def fidelity(dataset: index.PreparedDataset, resolution: int) -> dict[str, float]:
    """Mean Dice of each way's masks, over hands and classes."""
    rows = dataset.split("train")
    published = straightforward(dataset, resolution, augmented=False)
    plain = PolygonItems(dataset, rows, resolution=resolution)
    scores: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(len(rows)):
        outlines = parse(dataset.path(rows["label"][number]).read_text("utf-8"), CLASSES)
        published_masks, bits = published(number)[1], plain.plain(number)[1]
        for class_index, points in outlines.outlines():
            box, truth = half_covered(points * (resolution / np.array(outlines.size)))
            masks = {"straightforward": published_masks[class_index], "ours": bits >> class_index & 1}
            for name, mask in masks.items():
                scores[name].append(dice(mask, box, truth))
    return {name: mean(values) for name, values in scores.items()}


def half_covered(points: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """The pixels of which a polygon (n, 2) covers at least half: its box of rows and columns, and bool of that box."""
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int)
    fine = (points - (left, top)) * SUPERSAMPLING - 0.5  # scikit-image counts from pixel centres
    height, width = bottom - top, right - left
    drawn = polygon2mask((height * SUPERSAMPLING, width * SUPERSAMPLING), fine[:, ::-1])
    covered = drawn.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING).mean(axis=(1, 3))
    return (slice(top, bottom), slice(left, right)), covered >= 0.5


def dice(mask: np.ndarray, box: tuple[slice, slice], truth: np.ndarray) -> float:
    """Dice of a mask (H, W) of {0, 1} and a truth that is empty outside a box."""
    return float(2 * (mask[box] * truth).sum() / (mask.sum() + truth.sum()))


def measure(size: int, resolutions: dict[str, int], hands: int, samples: int) -> list[dict[str, Any]]:
    """All rows of the table."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = draw_dataset(Path(folder) / "hands", size, hands)
        small = draw_dataset(Path(folder) / "small", 128, 1)
        for case, resolution in resolutions.items():
            measured = {"time": seconds(dataset, resolution, samples)}
            if Path("/proc/self/clear_refs").exists():  # Linux
                measured["memory"] = memory(dataset.folder, small.folder, resolution)
            measured["fidelity"] = fidelity(dataset, resolution)
            for metric, both in measured.items():
                one, other = both["straightforward"], both["ours"]
                ratio = (1 - one) / (1 - other) if metric == "fidelity" else one / other
                found.append({"case": case, "metric": metric, **both, "ratio": ratio})
    return found


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'case':6}{'metric':22}{'published':>11}{'ours':>9}{'ratio':>9}   bar")
    for row in rows:
        number = 0 if row["case"] == "512" else 1
        if row["metric"] == "fidelity":
            unit, scale, bar = "mean Dice", 1, f"ours at least {LEAST_FIDELITY}"
        else:
            unit, scale = {"time": ("ms", 1e3), "memory": ("MB", 1e-6)}[row["metric"]]
            bar = f"{BARS[row['metric']][number]}x"
        digits = 4 if scale == 1 else 2
        values = f"{scale * row['straightforward']:11.{digits}f}{scale * row['ours']:9.{digits}f}"
        label = f"{row['metric']}, {unit}"
        print(f"{row['case']:6}{label:22}{values}{row['ratio']:8.1f}x   {bar}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    parser.add_argument(
        "--tiny", action="store_true", help="one case, a small picture, one sample: to see that it runs"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.tiny:
        rows = measure(256, {"512": 96}, hands=1, samples=1)
    else:
        rows = measure(2048, {"512": 512, "1024": 1024}, hands=4, samples=16)
    if arguments.json:
        print(json.dumps(rows))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
