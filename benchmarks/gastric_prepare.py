"""Time of preparing gastroscopies: one read of every DICOM file for all outputs against one pass per output.

Straightforward: a pass over all files for each output, as the published pipeline goes, with the published overlay
geometry: cleaned originals, masks, regions of interest, the same sorted by phase, four-in-one inspector pictures, the
label table and the annotations for CVAT. Each pass reads the DICOM file and its label, shifts with ``warpAffine``, and
fills and dilates three-channel masks. Ours: ``medseg.studies.gastric.prepare`` with the same geometry and the same
outputs, which also writes class maps and checksums; with one thread and with two. Formats and encoder are the same in
both. Wall time of the whole, a run of one way after a run of the other, medians. The frames are drawn: the sample data
of the study, without its broken files.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pydicom

from medseg.studies.gastric import prepare as gastric
from phantoms.gastric.sample import TROUBLE, write_gastric_sample

ROUNDS = 5
PATIENTS = 16
OUTPUTS = ("originals", "masks", "rois", "rois_by_phase", "inspector", "labels.csv", "annotations.xml")
CASES = {"serial": 1, "2 workers": 2}


def straightforward(source: Path, out: Path) -> None:
    """One pass over all files for each output."""
    for output in OUTPUTS:
        lines = []
        for label in sorted(source.glob("LABELS/*/ENDO/*.json")):
            name = f"{label.parts[-3]}/{label.stem}"
            folder = source / "DICOM" / label.parts[-3] / "ENDO"
            picture = read_rgb(next(path for path in folder.iterdir() if path.stem == label.stem))
            phase, polygons = read_label(label)
            if output == "annotations.xml":
                lines.append(element(name, picture, phase, polygons))
                continue
            if output == "originals":
                save(out / output / f"{name}.png", cleaned(picture))
                continue
            mask = cleaned(filled(picture, polygons))
            if output == "masks":
                save(out / output / f"{name}.png", mask)
            elif output == "labels.csv":
                lines.append(f"{name},{phase},{np.count_nonzero(mask[..., 0])},{cv2.boundingRect(mask[..., 0])}")
            elif output == "inspector":
                save(out / output / f"{name}.jpg", four_in_one(picture, mask))
            elif phase:
                roi = cv2.bitwise_and(cleaned(picture), cv2.dilate(mask, np.ones((15, 15), np.uint8)))
                below = f"phase-{phase}/" if output == "rois_by_phase" else ""
                save(out / output / f"{below}{name}.png", roi)
        if lines:
            (out / output).write_text("\n".join(lines), "utf-8")


def read_rgb(path: Path) -> np.ndarray:
    """uint8 (H, W, 3)."""
    pixels = pydicom.dcmread(path).pixel_array
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def read_label(path: Path) -> tuple[int | None, list[np.ndarray]]:
    """Phase and polygons, (N, 2) each, of a label."""
    data = path.read_bytes()
    try:
        text = data.decode("euc-kr")
    except UnicodeDecodeError:
        text = data.decode("utf-8")
    image = json.loads(text)["image"]
    return image["phase_id"], [np.array(entry["polygon"]) for entry in image["annotations"]]


def filled(picture: np.ndarray, polygons: list[np.ndarray]) -> np.ndarray:
    """Three-channel mask of 0 and 255."""
    mask = np.zeros_like(picture)
    for points in polygons:
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], (255, 255, 255))
    return mask


def cleaned(picture: np.ndarray) -> np.ndarray:
    """Text blanked, then moved 51 pixels to the left."""
    picture = picture.copy()
    cv2.rectangle(picture, (0, 0), (141, picture.shape[0]), (0, 0, 0), -1)
    cv2.rectangle(picture, (0, 0), (169, 49), (0, 0, 0), -1)
    return cv2.warpAffine(picture, np.float32([[1, 0, -51], [0, 1, 0]]), picture.shape[1::-1])


def four_in_one(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Original and mask above, overlay and cleaned picture below."""
    clean = cleaned(picture)
    overlaid = cv2.addWeighted(clean, 0.7, mask, 0.3, 0)
    contours, _ = cv2.findContours(mask[..., 0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(overlaid, contours, -1, (255, 221, 87), 2)
    return np.vstack([np.hstack([picture, mask]), np.hstack([overlaid, clean])])


def element(name: str, picture: np.ndarray, phase: int | None, polygons: list[np.ndarray]) -> str:
    """One picture of the annotations."""
    height, width = picture.shape[:2]
    shapes = [";".join(f"{x - 51:.2f},{y:.2f}" for x, y in points) for points in polygons]
    inside = "".join(f'<polygon label="phase-{phase}" points="{points}"></polygon>' for points in shapes)
    return f'<image name="{name}.png" width="{width}" height="{height}">{inside}</image>'


def save(path: Path, picture: np.ndarray) -> None:
    """By OpenCV's own settings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def seconds(way: Callable[[Path], object], out: Path) -> float:
    """Wall time of one run into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    way(out)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each way")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="how many are drawn, about four frames each")
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = write_gastric_sample(Path(folder) / "raw", patients=asked.patients), Path(folder) / "out"
        for top in ("DICOM", "LABELS"):
            shutil.rmtree(source / top / TROUBLE)
        frames = len(list(source.glob("DICOM/*/ENDO/*")))
        ways = {
            case: lambda out, workers=workers: gastric.prepare(source, out, overlay="published", workers=workers)
            for case, workers in CASES.items()
        }
        ways = {"straightforward": lambda out: straightforward(source, out)} | ways
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(asked.rounds + 1):  # the first round loads libraries and fills caches
            for name, way in ways.items():
                taken = seconds(way, out)
                if number or not asked.rounds:
                    spent[name].append(taken)
        theirs = median(spent["straightforward"])
        for case in CASES:
            ours = median(spent[case])
            row = {"case": case, "metric": "time", "straightforward": theirs, "ours": ours}
            found.append({**row, "ratio": theirs / ours})
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{frames} frames, {len(OUTPUTS)} outputs: median of {asked.rounds} runs")
    print(f"{'case':12}{'one pass per output, s':>24}{'ours, s':>10}{'ratio':>8}")
    for row in found:
        print(f"{row['case']:12}{row['straightforward']:24.2f}{row['ours']:10.2f}{row['ratio']:7.2f}x")


if __name__ == "__main__":
    main()
