"""The worst and the best cases as pictures: both outlines, and what was found, missed and invented."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import cv2
import numpy as np
import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation.kinds import Kind
from medseg.experiments.runs import Run, dataset_of, predictions_of
from medseg.masks import outlines, rle
from medseg.reporting import cross_validation, statistics
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Figure, Fragment, Parts, sentence
from medseg.reporting.samples import kind_of

_WIDTH = 360  # pixels of one picture; a tile holds two and is shown at half its size
_TRUTH, _PREDICTION, _RIM = (255, 255, 255), (240, 228, 66), (20, 20, 20)
#: Light, orange and blue differ in lightness and hue, so that colour-blind readers tell them apart.
AREAS = {"found": (226, 230, 234), "missed": (230, 159, 0), "false alarm": (86, 180, 233)}
_NONE = "No pictures"
_MARGIN = 0.35  # of the larger side of what is shown, on every side


def extremes(comparison: Comparison, *, worst: int = 4, best: int = 2, classes: int = 4) -> Parts:
    """Of the best configuration of each test set (its first seed) what :func:`cases` shows, under a heading.

    With folds, each case as the network predicted it that did not see it.
    """
    colours = {"outline of the truth": _TRUTH, "outline of the prediction": _PREDICTION, **AREAS}
    parts: list[Fragment | Figure] = [Fragment(legend(colours), f"Left: outlines. Right: {', '.join(AREAS)}.")]
    for test_set in comparison.test_sets:
        configuration = statistics.best(comparison, test_set)
        parts.append(_heading(f"{test_set}: {configuration.label}"))
        parts += cases(*configuration.by_seed[0], test_set=test_set, worst=worst, best=best, classes=classes).parts
    if any(isinstance(part, Figure) for part in parts):
        return Parts(tuple(parts))
    # Without any picture neither legend nor headings say anything, and one sentence is enough.
    return Parts(tuple(dict.fromkeys(part for part in parts if repr(part).startswith(_NONE))))


def cases(*runs: Run, test_set: str, worst: int = 4, best: int = 2, classes: int = 4) -> Parts:
    """Tiles of the worst and the best cases of a run, or of the folds of one, by Dice, all classes of a case together.

    Where several classes were scored, each of the worst ``classes`` comes first in the case where it is worst, seen
    close. Where the pictures are gone, or the data was prepared anew since, a line says so instead.
    """
    try:
        return Parts(tuple(_tiles(runs, test_set, worst, best, classes)))
    except MedsegError as error:
        return Parts((sentence(f"{_NONE}: {error}"),))


def some(*runs: Run, test_set: str, captions: Mapping[str, str]) -> Parts:
    """Tiles of some cases of a run, or of the folds of one, by their id; else as :func:`cases`."""
    try:
        dataset, kind, _, predicted = _read(runs, test_set)
        return Parts(tuple(_tile(dataset, kind, predicted[name], name, text) for name, text in captions.items()))
    except MedsegError as error:
        return Parts((sentence(f"{_NONE}: {error}"),))


def predicted_masks(
    predicted: dict[tuple[str, str], str], row: pd.Series, names: Iterable[str], shape: tuple[int, ...]
) -> Iterator[np.ndarray]:
    """Masks (H, W) uint8 of {0, 1} of some classes of a case, a row of the index, decoded.

    ``predicted`` is as :func:`medseg.experiments.runs.predictions_of` gives it, ``shape`` that of the picture.

    Raises:
        MedsegError: one is missing.
    """
    image_name = row.get("image_name", row["case_id"])
    for name in names:
        if (image_name, name) not in predicted:
            raise MedsegError(f"the run has no prediction of {name} for {image_name}.")
        yield rle.decode(predicted[image_name, name], (shape[0], shape[1]))


def legend(colours: Mapping[str, tuple[int, int, int]]) -> str:
    """HTML that says what RGB colours mean."""
    swatch = "display:inline-block;width:.8em;height:.8em;border:1px solid #888;border-radius:2px;margin-right:.4em"
    items = "".join(
        f'<span style="margin-right:1.25em;white-space:nowrap"><span style="{swatch};background:rgb{colour}"></span>'
        f"{escape(name)}</span>"
        for name, colour in colours.items()
    )
    return f'<p class="legend">{items}</p>'


def _heading(text: str) -> Fragment:
    return Fragment(f"<h3>{escape(text)}</h3>", text)


def _read(
    runs: Sequence[Run], test_set: str
) -> tuple[PreparedDataset, Kind, pd.DataFrame, dict[str, cross_validation.Predicted]]:
    """Data of runs, its kind, the scored cases of a test set, and what was predicted for each."""
    dataset = dataset_of(runs[0])
    if test_set == cross_validation.HELD_OUT:
        table = cross_validation.pooled(runs)
        predicted = cross_validation.predictions(runs, table)
    else:
        table = runs[0].cases()
        predicted = dict.fromkeys(table["case_id"], predictions_of(runs[0], test_set))
    return dataset, kind_of(dataset), table, predicted


def _tiles(runs: Sequence[Run], test_set: str, worst: int, best: int, classes: int) -> Iterator[Figure | Fragment]:
    dataset, kind, table, predicted = _read(runs, test_set)
    table = table[(table["test_set"] == test_set) & table["dice"].notna()]
    several = table["class"].nunique() > 1
    if several:
        yield _heading("Worst classes, each in its worst case")
        for name in table.groupby("class")["dice"].mean().sort_values(kind="stable").index[:classes]:
            own = table[table["class"] == name]
            lowest = own.loc[own["dice"].idxmin()]
            caption = f"{name}: mean Dice {own['dice'].mean():.3f}; here {lowest['dice']:.3f} ({lowest['case_id']})"
            yield _tile(dataset, kind, predicted[lowest["case_id"]], lowest["case_id"], caption, [name])
    means = table.groupby("case_id")["dice"].mean().reset_index().sort_values(["dice", "case_id"], kind="stable")
    low = means.head(worst)
    high = means.iloc[len(low) :].tail(best).iloc[::-1]
    for word, part in (("worst", low), ("best", high)):
        if several and len(part):
            yield _heading(f"{word.capitalize()} cases, all classes together")
        for case_id, dice in part.itertuples(index=False):
            caption = (
                f"{case_id}: mean Dice {dice:.3f}" if several else f"{word.capitalize()}: {case_id}, Dice {dice:.3f}"
            )
            yield _tile(dataset, kind, predicted[case_id], case_id, caption)


def _tile(
    dataset: PreparedDataset,
    kind: Kind,
    predicted: dict[tuple[str, str], str],
    case_id: str,
    caption: str,
    only: list[str] | None = None,
) -> Figure:
    """A case: found where any class is rightly found, else missed or invented by some class; or ``only`` some classes,
    cut out with a margin.
    """
    rows = dataset.index[dataset.index["case_id"] == case_id]
    if rows.empty:
        raise MedsegError(f"the case {case_id} is not in the data.")
    picture, label = kind.read(dataset, rows.iloc[0])
    names, shape = only or kind.classes, picture.shape[:2]
    truth, found = np.zeros(shape, bool), np.zeros(shape, bool)
    for name, mask in kind.true_pieces(label):
        if name in names:
            truth |= mask.astype(bool)
    for mask in predicted_masks(predicted, rows.iloc[0], names, shape):
        found |= mask.astype(bool)
    if only:
        top, left, side = _square(truth | found)
        picture, truth, found = (a[top : top + side, left : left + side] for a in (picture, truth, found))
    size = _WIDTH, round(_WIDTH * picture.shape[0] / picture.shape[1])
    enlarged = size[0] > picture.shape[1]
    image = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC if enlarged else cv2.INTER_AREA)
    image = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    truth, found = (
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA) >= 0.5
        for mask in (truth, found)
    )
    areas = dict(zip(AREAS, (truth & found, truth & ~found, found & ~truth), strict=True))
    gap = np.full((image.shape[0], 4, 3), 128, np.uint8)
    pixels = np.hstack([_outlined(image, truth, found), gap, _difference(image, areas)])
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    shares = [f"{100 * area.mean():.1f} %" for area in areas.values()]
    alt = (
        f"{' of '.join([*(only or []), case_id])}: picture with the outlines of truth and prediction, and a map in "
        f"which {shares[0]} of the picture is found, {shares[1]} missed and {shares[2]} a false alarm."
    )
    return Figure(encoded.tobytes(), "image/jpeg", pixels.shape[1] // 2, caption, alt, "tile")


def _outlined(image: np.ndarray, truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The picture with both outlines; a dark rim keeps them visible on any ground."""
    drawn = image.copy()
    for mask in (truth, found):
        outlines.draw(drawn, mask, _RIM, width=5)
    for mask, colour in ((truth, _TRUTH), (found, _PREDICTION)):
        outlines.draw(drawn, mask, colour)
    return drawn


def _difference(image: np.ndarray, areas: Mapping[str, np.ndarray]) -> np.ndarray:
    """The picture in dim grey; found, missed and invented pixels in their colours."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, axis=2) * 0.5
    for name, area in areas.items():
        grey[area] = 0.25 * grey[area] + 0.75 * np.array(AREAS[name])
    return grey.round().astype(np.uint8)


def _square(mask: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of a square around the ones of a mask, with a margin, inside the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = min(*mask.shape, max(32, round(extent * (1 + 2 * _MARGIN))))
    top, left = (
        int(np.clip((place[0] + place[-1] + 1 - side) // 2, 0, size - side))
        for place, size in ((rows, mask.shape[0]), (columns, mask.shape[1]))
    )
    return top, left, side
