"""Pictures of samples: what goes into a network, what comes out."""

from collections.abc import Sequence

import cv2
import numpy as np

from medseg.datasets.augmentation.warp import Augmentation, generator
from medseg.datasets.frames import Frames
from medseg.datasets.images import CleanedMask
from medseg.datasets.index import PreparedDataset
from medseg.evaluation.rules import Segmenter
from medseg.masks import outlines
from medseg.masks.outlines import PREDICTED, TRUTH
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import dice
from medseg.reporting import style
from medseg.reporting.fragments import Figure

_ROW = 200  # height of a row of pictures, CSS pixels
_LONGEST = 400  # pixels kept of a picture's longer side: twice what a column is wide


def picture_mask_overlay(frames: Frames, titles: Sequence[str]) -> Figure:
    """Each frame with its mask and with the mask's outline on it, one row a frame."""
    rows = []
    for number in range(len(frames)):
        picture, mask = _small(*frames[number])
        rows.append([picture, mask * 255, _outlined(picture, (mask, TRUTH))])
    return grid(
        rows,
        titles,
        ("picture", "mask", "outline on picture"),
        "Frames with their masks; the outline is drawn where the mask ends.",
        f"{len(rows)} colonoscopy frames, each as picture, as mask, and with the mask's outline.",
    )


def augmented(frames: Frames, augmentation: Augmentation, seed: int, draws: int = 3) -> Figure:
    """Each frame with its mask's outline, as it is and as augmentation draws it in the first epochs."""
    rows = []
    for number in range(len(frames)):
        picture, mask = frames[number]
        row = [_outlined(*_small_pair(picture, mask))]
        for epoch in range(draws):
            warped, warped_mask = augmentation(picture, mask, generator(seed, epoch, number))
            row.append(_outlined(warped, (warped_mask, TRUTH)))
        rows.append(row)
    return grid(
        rows,
        [""] * len(rows),
        ("as it is", *(f"drawn for epoch {epoch + 1}" for epoch in range(draws))),
        "Training frames as they are and as the network gets them; the outline is the mask, warped with its picture.",
        f"{len(rows)} training frames beside {draws} augmented versions of each, the mask outlined.",
    )


def predictions(frames: Frames, titles: Sequence[str], segment: Segmenter) -> Figure:
    """Each frame with truth, probability and both outlines; mask by the run's rules, Dice at native resolution."""
    rows, names = [], []
    for number, title in enumerate(titles):
        picture, mask = frames[number]
        predicted, probability = segment(picture, title)
        counts = confusion_counts(predicted, mask)
        names.append(f"{title}\nDice {dice(counts.tp, counts.fp, counts.fn):.2f}")
        small, small_mask = _small(picture, mask)
        _, small_predicted = _small(picture, predicted)
        heat = cv2.resize((probability * 255).astype(np.uint8), small_mask.shape[::-1], interpolation=cv2.INTER_AREA)
        rows.append([small, heat, _outlined(small, (small_mask, TRUTH), (small_predicted, PREDICTED))])
    return grid(
        rows,
        names,
        ("picture", "probability", "truth (green), prediction (orange)"),
        "Predictions at each picture's own size. Dice of these frames alone; the means are in the tables.",
        f"{len(rows)} frames with the predicted probability and the outlines of truth and prediction.",
    )


def mask_before_after(cleaned: CleanedMask, title: str) -> Figure:
    """One mask before and after cleaning, with the pixels that were neither black nor white, seen close."""
    where = np.argwhere(cleaned.impure if cleaned.impure.any() else cleaned.after)
    middle = where[np.abs(where - np.median(where, axis=0)).sum(1).argmin()]
    half = max(16, min(cleaned.before.shape) // 8)
    (top, left), limits = np.maximum(middle - half, 0), cleaned.before.shape
    part = slice(top, min(top + 2 * half, limits[0])), slice(left, min(left + 2 * half, limits[1]))
    values = len(cleaned.impure_values)
    found = (
        f"{values} values between 0 and 255 in {int(cleaned.impure.sum()):,} pixels ({cleaned.impure.mean():.1%}); "
        "above 127 counts as polyp"
        if values
        else "no mask held a value between 0 and 255; nothing had to be cleaned"
    )
    pictures = [cleaned.before, cleaned.impure * np.uint8(255), cleaned.before[part], cleaned.after[part]]
    return grid(
        [pictures],
        [title],
        ("before", "neither 0 nor 255", "before, close", "after, close"),
        f"{title}: {found}.",
        "A polyp mask before and after cleaning, with its impure pixels and a magnified part.",
    )


def size_distribution(dataset: PreparedDataset) -> Figure:
    """Share of the picture that the polyps cover, by split and test set."""
    parts = list(dataset.index.groupby(["split", "test_set"], sort=False)["polyp_fraction"])
    with style.canvas(60 + 42 * len(parts), 640) as figure:
        axes = figure.subplots()
        generator_of_jitter = np.random.default_rng(0)
        for place, (_, values) in enumerate(parts):
            jitter = place + generator_of_jitter.uniform(-0.18, 0.18, len(values))
            axes.scatter(100 * values, jitter, s=14, alpha=0.55, linewidths=0, color=style.colour(place))
            axes.plot([100 * values.median()] * 2, [place - 0.3, place + 0.3], color=style.INK)
        axes.set_yticks(range(len(parts)), [f"{s}: {t}" if t else s for (s, t), _ in parts])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("polyp's share of the picture, %")
        style.plain(axes, "x")
        return style.finish(
            figure,
            "Each dot is one frame; the bar is the median. Logarithmic axis.",
            "Polyp size by split: "
            + "; ".join(f"{t or s} median {100 * values.median():.1f} %" for (s, t), values in parts),
        )


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    names: Sequence[str],
    heads: Sequence[str],
    caption: str,
    alt: str,
    row_height: int = _ROW,
) -> Figure:
    """Rows of pictures (H, W) or (H, W, 3) uint8, each row with a name, each column with a head.

    ``row_height`` is in CSS pixels.
    """
    columns = len(rows[0])
    width = min(style.WIDTH, round(1.25 * row_height * columns) + 110)
    with style.canvas(row_height * len(rows) + 24, width) as figure:
        figure.set_facecolor(style.LIGHTBOX)
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for r, row in enumerate(rows):
            for c, pixels in enumerate(row):
                axes = grid[r, c]
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if c > 1 else "antialiased")
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
                if r == 0:
                    axes.set_title(heads[c], fontweight="normal", color=style.ON_LIGHTBOX)
            if names[r]:
                grid[r, 0].set_ylabel(
                    names[r], rotation=0, ha="right", va="center", labelpad=8, color=style.ON_LIGHTBOX
                )
        return style.finish(figure, caption, alt, kind="photo")


def shrunk(pixels: np.ndarray, longest: int = 420) -> np.ndarray:
    """A picture (H, W) or (H, W, 3) uint8 whose longer side has at most ``longest`` pixels, for the page."""
    factor = min(1.0, longest / max(pixels.shape[:2]))
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _small(picture: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at most ``_LONGEST`` pixels long, for the page."""
    factor = min(1.0, _LONGEST / max(mask.shape))
    size = max(1, round(mask.shape[1] * factor)), max(1, round(mask.shape[0] * factor))
    return (
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA),
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _small_pair(picture: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, tuple[int, int, int]]]:
    small, small_mask = _small(picture, mask)
    return small, (small_mask, TRUTH)


def _outlined(picture: np.ndarray, *masks: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    """``picture`` with the outline of each mask in its colour, drawn at twice the size where it is small."""
    factor = max(1, round(_LONGEST / max(picture.shape)))
    drawn = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    for mask, colour in masks:
        large = cv2.resize(mask, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        outlines.draw(drawn, large, colour)
    return drawn
