"""Pictures of samples: what goes into a network, what comes out; for every kind of label."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import pandas as pd

from medseg import registry
from medseg.datasets.index import PreparedDataset
from medseg.evaluation import kinds
from medseg.evaluation.rules import Segmentation
from medseg.masks import outlines
from medseg.metrics.overlap import confusion_counts, dice
from medseg.reporting import style
from medseg.reporting.fragments import Figure

_DRAWS = 3  # epochs of which augmented pictures are shown
_ROW = 200  # height of a row of pictures, CSS pixels
_LONGEST = 400  # pixels kept of a picture's longer side: twice what a column is wide

#: A picture (H, W) or (H, W, 3) uint8 and its label (H, W): of {0, 1}, of classes (0: none), or int32 with a bit for
#: each class where they overlap.
Pair = tuple[np.ndarray, np.ndarray]


def augmented(
    plain: Iterable[Pair],
    drawn: Callable[[int, int], Pair],
    classes: Sequence[str],
    titles: Sequence[str] = (),
) -> Figure:
    """Each picture with its label, as it is and as augmentation draws it in the first epochs.

    Args:
        plain: pictures and labels as they are.
        drawn: gives picture and label of an epoch and a place in ``plain``.
        classes: names.
        titles: of the pictures.
    """
    rows = [
        [labelled(*pair, classes), *(labelled(*drawn(epoch, place), classes) for epoch in range(_DRAWS))]
        for place, pair in enumerate(plain)
    ]
    shown = "the outline is the mask, warped with its picture"
    if len(classes) > 1:
        shown = f"every class has its colour and moves with its picture{named_colours(classes)}"
    return grid(
        rows,
        titles or [""] * len(rows),
        ("as it is", *(f"drawn for epoch {epoch + 1}" for epoch in range(_DRAWS))),
        f"Training pictures as they are and as the network gets them; {shown}.",
        f"{len(rows)} training pictures beside {_DRAWS} augmented versions of each, their labels drawn.",
    )


def predictions(
    dataset: PreparedDataset,
    cases: pd.DataFrame,
    segment: Callable[[np.ndarray, str], Segmentation],
    words: Callable[[pd.Series, np.ndarray], str] = lambda case, mask: "",
) -> Figure:
    """Each case with truth and prediction, and its Dice, by the rules by which it is scored, at its own size.

    Args:
        cases: rows of the dataset's index.
        segment: gives the masks of a picture and its name; see :class:`medseg.evaluation.rules.Segmenter`.
        words: what else to say of a case, from its row and its predicted mask.
    """
    kind = kind_of(dataset)
    rows: list[dict[str, np.ndarray]] = []
    names: list[str] = []
    for _, case in cases.iterrows():
        picture, label = kind.read(dataset, case)
        found = segment(picture, case["case_id"])
        pairs = [(kind.part(found.mask, n), kind.truth(label, n)) for n in range(len(kind.scored))]
        scores = np.array([dice(*confusion_counts(*pair)[:3]) for pair in pairs], float)
        score = f"{'mean ' if len(scores) > 1 else ''}Dice {np.nanmean(scores):.2f}"
        names.append("\n".join(line for line in (case["case_id"], words(case, found.mask), score) if line))
        truth, predicted = (
            np.stack([mask for _, mask in pieces]) for pieces in (kind.true_pieces(label), kind.pieces(found.mask))
        )
        row = {"picture": shrunk(picture, _LONGEST)}
        if found.probability is not None:
            row["probability"] = shrunk((found.probability * 255).astype(np.uint8), _LONGEST)
        if len(truth) == 1:
            both = _outlined(picture, (truth[0], outlines.TRUTH), (predicted[0], outlines.PREDICTED))
            row["truth (green), prediction (orange)"] = both
        else:
            row["truth"], row["prediction"] = (shrunk(outlines.tint(picture, m), _LONGEST) for m in (truth, predicted))
        rows.append(row)
    return grid(
        [list(row.values()) for row in rows],
        names,
        list(rows[0]),
        f"Predictions at each picture's own size{named_colours(kind.classes)}. Dice of these cases alone; the means "
        "are in the tables.",
        f"{len(rows)} pictures with truth and prediction.",
    )


def kind_of(dataset: PreparedDataset) -> kinds.Kind:
    """The kind of a dataset's labels."""
    return kinds.of(registry.find(dataset.info["study"]).label, dataset.info["classes"])


def labelled(picture: np.ndarray, label: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A small RGB picture with its label (see :data:`Pair`): one class outlined, several in colour."""
    if len(classes) == 1:
        return _outlined(picture, (label, outlines.TRUTH))
    if label.dtype == np.int32:
        masks = np.stack([(label >> number) & 1 for number in range(len(classes))])
    else:
        masks = np.stack([label == number for number in range(1, len(classes) + 1)])
    return shrunk(outlines.tint(picture, masks), _LONGEST)


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    names: Sequence[str],
    heads: Sequence[str],
    caption: str,
    alt: str,
    row_height: int = _ROW,
) -> Figure:
    """Rows of pictures (H, W) or (H, W, 3) uint8, each row with a name, each column with a head.

    ``row_height`` is in CSS pixels, and the most that a row gets: wide pictures need less.
    """
    columns = len(rows[0])
    width = min(style.WIDTH, round(1.25 * row_height * columns) + 110)
    tallest = max(row[0].shape[0] / row[0].shape[1] for row in rows)
    row_height = min(row_height, round((width - 110) / columns * tallest) + 12)
    with style.canvas(row_height * len(rows) + 24, width) as figure:
        figure.set_facecolor(style.LIGHTBOX)
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for r, row in enumerate(rows):
            for c, pixels in enumerate(row):
                axes = grid[r, c]
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if c > 1 else "antialiased")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if r == 0:
                    axes.set_title(heads[c], fontweight="normal", color=style.ON_LIGHTBOX)
            if names[r]:
                text = {"rotation": 0, "ha": "right", "va": "center", "color": style.ON_LIGHTBOX}
                grid[r, 0].set_ylabel(names[r], labelpad=8, **text)
        return style.finish(figure, caption, alt, kind="photo")


def shrunk(pixels: np.ndarray, longest: int = 420) -> np.ndarray:
    """A picture (H, W) or (H, W, 3) uint8 whose longer side has at most ``longest`` pixels, for the page."""
    factor = min(1.0, longest / max(pixels.shape[:2]))
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def named_colours(classes: Sequence[str]) -> str:
    """The colours of a few classes in words, after a semicolon; empty for one class and for many."""
    if not 1 < len(classes) <= len(outlines.FEW):
        return ""
    return "; " + ", ".join(f"{colour}: {name}" for colour, name in zip(outlines.FEW, classes, strict=False))


def _outlined(picture: np.ndarray, *masks: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    """``picture`` as small as the page needs it, with outlines, drawn at twice the size where it is small."""
    drawn = shrunk(picture, _LONGEST)
    size = drawn.shape[1::-1]
    factor = max(1, round(_LONGEST / max(size)))
    drawn = cv2.resize(drawn, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    for mask, colour in masks:
        small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
        outlines.draw(drawn, cv2.resize(small, drawn.shape[1::-1], interpolation=cv2.INTER_NEAREST), colour)
    return drawn
