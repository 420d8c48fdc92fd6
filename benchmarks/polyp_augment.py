"""Time of one augmented training sample of the polyp study at 384 px: Augmentor on PIL pictures against ``warp``.

Straightforward: the published pipeline as the ``augmentor`` preset runs it, every angle and tone drawn for each sample
as ``warp`` does, after decoding with PIL. Ours: ``warp`` after decoding with OpenCV. Both end with the same arrays, a
picture (384, 384, 3) and a mask (384, 384). ``disk`` decodes the PNG files (in the page cache) for each sample,
``cached`` has them decoded. The frames are drawn: 574 x 500, as in CVC-ColonDB. Time is that of the processor, one
thread each, so that other work on the machine counts little.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from PIL import Image

from medseg.datasets import index
from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import generator
from medseg.datasets.frames import Frames
from phantoms.polyp.centres import COLONDB, film

RESOLUTION = 384
FRAMES = 8
SAMPLES = 80

Way = Callable[[int], tuple[np.ndarray, np.ndarray]]


def draw_frames(folder: Path) -> index.PreparedDataset:
    """A prepared dataset of drawn frames in PNG files."""
    with index.writing(folder, study="polyp", name="benchmark", classes=["polyp"]) as draft:
        for number in range(FRAMES):
            (frame,) = film(COLONDB, seed=0, sequence=number, frames=1)
            picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            row = {"case_id": str(number), "group": str(number), "split": "train", "fold": -1, "test_set": ""}
            for column, pixels in (("image", picture), ("label", frame.polyp * np.uint8(255))):
                row[column] = f"{column}/{number}.png"
                draft.write_file(row[column], cv2.imencode(".png", pixels)[1].tobytes())
            draft.rows.append(row)
    return index.load(folder)


def ways(dataset: index.PreparedDataset) -> dict[str, tuple[Way, Way]]:
    """The straightforward way and ours to the sample of a number, by case."""
    rows = dataset.split("train")
    straightforward, warp = (build_augmentation(name, RESOLUTION) for name in ("augmentor", "warp"))
    in_memory, on_disk = Frames(dataset, rows), Frames(dataset, rows, budget=0)

    def opened(number: int) -> tuple[np.ndarray, np.ndarray]:
        picture, mask = (Image.open(dataset.path(rows[column][number])) for column in ("image", "label"))
        return np.asarray(picture.convert("RGB")), (np.asarray(mask.convert("L")) > 127).astype(np.uint8)

    decoded = [opened(number) for number in range(FRAMES)]
    return {
        "cached": (
            lambda sample: straightforward(*decoded[sample % FRAMES], generator(0, 0, sample)),
            lambda sample: warp(*in_memory[sample % FRAMES], generator(0, 0, sample)),
        ),
        "disk": (
            lambda sample: straightforward(*opened(sample % FRAMES), generator(0, 0, sample)),
            lambda sample: warp(*on_disk[sample % FRAMES], generator(0, 0, sample)),
        ),
    }


def measure(both: tuple[Way, Way]) -> tuple[float, float]:
    """Median seconds per sample of the two ways, a sample of one after a sample of the other."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for sample in range(FRAMES + SAMPLES):  # the first ones load libraries and fill caches
        for way, spent in zip(both, seconds, strict=True):
            started = time.process_time()
            way(sample)
            spent.append(time.process_time() - started)
    straightforward, ours = (median(spent[FRAMES:]) for spent in seconds)
    return straightforward, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # PIL uses one thread
    with tempfile.TemporaryDirectory() as folder:
        cases = ways(draw_frames(Path(folder) / "frames"))
        found = []
        for case, both in cases.items():
            straightforward, ours = measure(both)
            times = {"straightforward": straightforward, "ours": ours, "ratio": straightforward / ours}
            found.append({"case": case, "metric": "time", **times})
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"one augmented sample at {RESOLUTION} px: processor time, median of {SAMPLES}")
    print(f"{'case':8}{'Augmentor, ms':>15}{'warp, ms':>10}{'ratio':>8}")
    for row in found:
        print(f"{row['case']:8}{1e3 * row['straightforward']:15.2f}{1e3 * row['ours']:10.2f}{row['ratio']:7.1f}x")


if __name__ == "__main__":
    main()
