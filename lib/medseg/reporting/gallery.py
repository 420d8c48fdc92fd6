"""The best and the worst cases as pictures: both outlines, and what was found, missed and invented."""

from html import escape

import cv2
import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets import index
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.masks import rle
from medseg.reporting import statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure, Fragment, Parts

_WIDTH = 360  # pixels of one picture; a tile holds two and is shown at half its size
_GAP = 4
_TRUTH, _PREDICTION = (255, 255, 255), (240, 228, 66)
#: Light, orange and blue differ in lightness and hue, so that colour-blind readers tell them apart.
_FOUND, _MISSED, _INVENTED = (226, 230, 234), (230, 159, 0), (86, 180, 233)
_LEGEND = {
    "outline of the truth": _TRUTH,
    "outline of the prediction": _PREDICTION,
    "found": _FOUND,
    "missed": _MISSED,
    "false alarm": _INVENTED,
}


def extremes(comparison: Comparison, *, worst: int = 4, best: int = 2) -> Parts:
    """Worst and best cases of the best configuration of each test set (of its first seed)."""
    parts: list[Fragment | Figure] = [_legend()]
    for test_set in comparison.test_sets:
        configuration = statistics.best(comparison, test_set)
        parts.append(_heading(f"{test_set}: {configuration.label}"))
        parts += cases(configuration.runs[0], test_set, worst=worst, best=best).parts
    return Parts(tuple(parts))


def cases(run: Run, test_set: str, *, worst: int = 4, best: int = 2) -> Parts:
    """Tiles of the worst and the best cases of a run on one test set, by Dice.

    Where the pictures are gone, or the data was prepared anew since, a line says so instead.
    """
    try:
        dataset = _dataset(run)
        predictions = _predictions(run, test_set)
        tiles = [_tile(row, dataset, predictions) for row in _chosen(run.cases(), test_set, worst, best)]
    except MedsegError as error:
        text = f"No pictures of {test_set}: {error}"
        return Parts((Fragment(f"<p>{escape(text)}</p>", text),))
    return Parts(tuple(tiles))


def _dataset(run: Run) -> PreparedDataset:
    described = run.record["dataset"]
    if len(described.get("classes") or []) != 1:
        raise MedsegError("pictures are drawn for data with one class.")
    dataset = index.load(described["path"])
    if dataset.fingerprint != described["fingerprint"]:
        raise MedsegError(
            f"the data at {project.display(dataset.folder)} was prepared anew since (it was "
            f"{described['fingerprint'][:8]}, it is {dataset.fingerprint[:8]})."
        )
    return dataset


def _predictions(run: Run, test_set: str) -> dict[str, str]:
    """Run-length code of every case."""
    path = run.folder / "predictions" / f"{test_set}.csv"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return dict(zip(table["image_name"], table["rle"], strict=True))
    except (OSError, KeyError, ValueError) as error:
        raise MedsegError(f"the run has no readable {path.name} with predictions ({error}).") from error


def _chosen(table: pd.DataFrame, test_set: str, worst: int, best: int) -> list[tuple[str, str, float]]:
    """(kind, case id, Dice) of the cases to show, the worst first."""
    scored = table[(table["test_set"] == test_set) & table["dice"].notna()]
    scored = scored.sort_values(["dice", "case_id"], kind="stable")
    low = scored.head(worst)
    high = scored.iloc[len(low) :].tail(best).iloc[::-1]
    return [
        (kind, row.case_id, row.dice) for kind, part in (("worst", low), ("best", high)) for row in part.itertuples()
    ]


def _tile(chosen: tuple[str, str, float], dataset: PreparedDataset, predictions: dict[str, str]) -> Figure:
    kind, case_id, dice = chosen
    rows = dataset.index[dataset.index["case_id"] == case_id]
    if rows.empty or case_id not in predictions:
        raise MedsegError(f"the case {case_id} is not in the data or has no prediction.")
    sample = rows.iloc[0]
    image = cv2.imread(str(dataset.path(sample["image"])), cv2.IMREAD_COLOR_RGB)
    truth = cv2.imread(str(dataset.path(sample["label"])), cv2.IMREAD_GRAYSCALE)
    if image is None or truth is None:
        raise MedsegError(f"the picture or the mask of {case_id} cannot be read.")
    prediction = rle.decode(predictions[case_id], truth.shape)
    height = round(_WIDTH * image.shape[0] / image.shape[1])
    image = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    true, found = (_shrink(mask > 0, height) for mask in (truth, prediction))
    gap = np.full((height, _GAP, 3), 128, np.uint8)
    pixels = np.hstack([_outlined(image, true, found), gap, _difference(image, true, found)])
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    alt = (
        f"{case_id}: picture with the outlines of truth and prediction, and a map in which {_share(true & found)} of "
        f"the picture is found, {_share(true & ~found)} missed and {_share(found & ~true)} a false alarm."
    )
    caption = f"{kind.capitalize()}: {case_id}, Dice {dice:.3f}"
    return Figure(encoded.tobytes(), "image/jpeg", pixels.shape[1] // 2, caption, alt, "tile")


def _shrink(mask: np.ndarray, height: int) -> np.ndarray:
    resized = cv2.resize(mask.astype(np.float32), (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return resized >= 0.5


def _outlined(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The picture with both outlines; a dark rim keeps them visible on any ground."""
    drawn = image.copy()
    outlines = [
        (cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0], colour)
        for mask, colour in ((truth, _TRUTH), (prediction, _PREDICTION))
    ]
    for contours, _ in outlines:
        cv2.drawContours(drawn, contours, -1, (20, 20, 20), 5, cv2.LINE_AA)
    for contours, colour in outlines:
        cv2.drawContours(drawn, contours, -1, colour, 2, cv2.LINE_AA)
    return drawn


def _difference(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The picture in dim grey; found, missed and invented pixels in their colours."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, axis=2) * 0.5
    for area, colour in (
        (truth & prediction, _FOUND),
        (truth & ~prediction, _MISSED),
        (prediction & ~truth, _INVENTED),
    ):
        grey[area] = 0.25 * grey[area] + 0.75 * np.array(colour)
    return grey.round().astype(np.uint8)


def _share(area: np.ndarray) -> str:
    return f"{100 * area.mean():.1f} %"


def _heading(text: str) -> Fragment:
    return Fragment(f"<h3>{escape(text)}</h3>", text)


def _legend() -> Fragment:
    swatch = "display:inline-block;width:.8em;height:.8em;border:1px solid #888;border-radius:2px;margin-right:.4em"
    items = "".join(
        f'<span style="margin-right:1.25em;white-space:nowrap"><span style="{swatch};background:rgb{colour}"></span>'
        f"{name}</span>"
        for name, colour in _LEGEND.items()
    )
    return Fragment(f'<p class="legend">{items}</p>', f"Left: outlines. Right: {', '.join(list(_LEGEND)[2:])}.")
