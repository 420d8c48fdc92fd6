"""What happens to 29 masks of 2048 x 2048 pixels after the network: scoring, run-length coding, post-processing.

- ``dice``: Dice of each class from logits. Straightforward: the published way, sigmoid and threshold of the whole
  tensor, then flattened sums of its product with a float truth. Ours: logits above 0, integer counts class by class.
- ``rle``: straightforward: the usual flatten, differences and join over the full mask. Ours: ``rle.encode``.
- ``postprocess``: holes filled and the largest component kept, of predictions with holes and specks. Straightforward:
  flood from the corner and connected components on the full frame. Ours: ``postprocess``.

Both ways begin with arrays in memory, the same but for the dtype of the truth (float32 against uint8), and give the
same results, which is checked. Time is that of the processor, one thread each, for all 29 masks of a drawn hand; a
round of one way after a round of the other.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from medseg.datasets.polygons import PolygonSet, rasterise
from medseg.masks import rle
from medseg.masks.postprocess import postprocess
from medseg.metrics.overlap import confusion_counts, dice
from medseg.studies.handbone.bones import CLASSES
from phantoms.handbone.sample import draw_hand

BARS = {"dice": 8, "rle": 10, "postprocess": 12}

Way = Callable[[], Any]


def hand_masks(size: int) -> np.ndarray:
    """The bones of a drawn hand, uint8 (29, size, size) of {0, 1}."""
    _, bones = draw_hand(0, size, "R")
    return rasterise(PolygonSet.of([(CLASSES.index(name), points) for name, points in bones], (size, size)), 29)


def with_faults(masks: np.ndarray) -> np.ndarray:
    """The masks with holes in every bone and specks around it, as a network leaves them."""
    rng = np.random.default_rng(0)
    faulty = masks.copy()
    for mask in faulty:
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        for value, reach in ((0, 0.0), (1, 0.2)) * 4:
            centre = [
                int(rng.uniform(side[0] - reach * len(side), side[-1] + reach * len(side))) for side in (columns, rows)
            ]
            cv2.circle(mask, centre, max(1, len(rows) // 60), value, -1)
    return faulty


def dice_ways(masks: np.ndarray) -> tuple[Way, Way]:
    rng = np.random.default_rng(0)
    logits = torch.empty(1, *masks.shape)
    for logit, mask in zip(logits[0].numpy(), with_faults(masks), strict=True):
        rng.standard_normal(out=logit, dtype=np.float32)
        logit[:] = np.where(mask, 1, -1) * (np.abs(logit) + 0.1)
    truth = torch.from_numpy(masks[None].astype(np.float32))  # as the published data set delivers it

    def straightforward() -> list[float]:
        predicted = (torch.sigmoid(logits) > 0.5).flatten(2)
        true = truth.flatten(2)
        overlap = (true * predicted).sum(-1)
        return (2 * overlap / (true.sum(-1) + predicted.sum(-1)))[0].tolist()

    def ours() -> list[float]:
        scores = []
        for logit, true in zip(logits[0].numpy(), masks, strict=True):
            tp, fp, fn, _ = confusion_counts(logit > 0, true)
            scores.append(dice(tp, fp, fn))
        return scores

    return straightforward, ours


def rle_ways(masks: np.ndarray) -> tuple[Way, Way]:
    def flattened(mask: np.ndarray) -> str:
        padded = np.concatenate([[0], mask.flatten(), [0]])
        edges = np.where(padded[1:] != padded[:-1])[0] + 1
        edges[1::2] -= edges[::2]
        return " ".join(str(number) for number in edges)

    return lambda: [flattened(mask) for mask in masks], lambda: [rle.encode(mask) for mask in masks]


def postprocess_ways(masks: np.ndarray) -> tuple[Way, Way]:
    faulty = with_faults(masks)

    def full_frame(mask: np.ndarray) -> np.ndarray:
        flooded = mask * np.uint8(255)
        frame = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
        cv2.floodFill(flooded, frame, (0, 0), 255)
        filled = (mask * np.uint8(255)) | cv2.bitwise_not(flooded)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(filled)
        return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)

    return lambda: [full_frame(mask) for mask in faulty], lambda: [postprocess(mask) for mask in faulty]


def seconds(both: tuple[Way, Way], rounds: int) -> tuple[float, float]:
    """Median processor time of a round of each way, the results of which have to be equal."""
    expected, found = (way() for way in both)  # loads libraries and fills caches, too
    for one, other in zip(expected, found, strict=True):
        if not (one == other if isinstance(one, str) else np.allclose(one, other, atol=1e-6)):
            raise RuntimeError("the two ways give different results")
    del expected, found
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for way, values in zip(both, spent, strict=True):
            started = time.process_time()
            way()
            values.append(time.process_time() - started)
    return median(spent[0]), median(spent[1])


def measure(size: int, rounds: int) -> list[dict[str, Any]]:
    """All rows of the table."""
    masks = hand_masks(size)
    rows = []
    for case, ways in (("dice", dice_ways), ("rle", rle_ways), ("postprocess", postprocess_ways)):
        one, other = seconds(ways(masks), rounds)
        rows.append({"case": case, "metric": "time", "straightforward": one, "ours": other, "ratio": one / other})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    parser.add_argument("--tiny", action="store_true", help="small masks, one round: to see that it runs")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = measure(256, rounds=1) if arguments.tiny else measure(2048, rounds=7)
    if arguments.json:
        print(json.dumps(rows))
        return
    print("29 masks: processor time")
    print(f"{'case':12}{'published, ms':>15}{'ours, ms':>10}{'ratio':>8}   bar")
    for row in rows:
        times = f"{1e3 * row['straightforward']:15.1f}{1e3 * row['ours']:10.1f}"
        print(f"{row['case']:12}{times}{row['ratio']:7.1f}x   {BARS[row['case']]}x")


if __name__ == "__main__":
    main()
