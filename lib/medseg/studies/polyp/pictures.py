"""Pictures and sizes of a prepared polyp dataset: frames with their masks, what cleaning did, how large polyps are."""

from collections.abc import Sequence

import numpy as np

from medseg.datasets.foreground import CleanedMask
from medseg.datasets.frames import Frames
from medseg.datasets.index import PreparedDataset
from medseg.reporting import samples, style
from medseg.reporting.fragments import Figure


def picture_mask_overlay(frames: Frames, titles: Sequence[str]) -> Figure:
    """Each frame with its mask and with the mask's outline on it, one row a frame."""
    rows = [
        [samples.shrunk(picture), samples.shrunk(mask * 255), samples.labelled(picture, mask, ["polyp"])]
        for picture, mask in map(frames.__getitem__, range(len(frames)))
    ]
    return samples.grid(
        rows,
        titles,
        ("picture", "mask", "outline on picture"),
        "Frames with their masks; the outline is drawn where the mask ends.",
        f"{len(rows)} colonoscopy frames, each as picture, as mask, and with the mask's outline.",
    )


def mask_before_after(cleaned: CleanedMask, title: str) -> Figure:
    """One mask before and after cleaning, with the pixels that were neither black nor white, seen close."""
    where = np.argwhere(cleaned.impure if cleaned.impure.any() else cleaned.after)
    middle = where[np.abs(where - np.median(where, axis=0)).sum(1).argmin()]
    half = max(16, min(cleaned.before.shape) // 8)
    (top, left), limits = np.maximum(middle - half, 0), cleaned.before.shape
    part = slice(top, min(top + 2 * half, limits[0])), slice(left, min(left + 2 * half, limits[1]))
    values = len(np.unique(cleaned.before[cleaned.impure]))
    found = (
        f"{values} values between 0 and 255 in {int(cleaned.impure.sum()):,} pixels ({cleaned.impure.mean():.1%}); "
        "above 127 counts as polyp"
        if values
        else "no mask held a value between 0 and 255; nothing had to be cleaned"
    )
    pictures = [cleaned.before, cleaned.impure * np.uint8(255), cleaned.before[part], cleaned.after[part]]
    return samples.grid(
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
        for place, (_, values) in enumerate(parts):
            heights = place + 0.36 * style.scattered(len(values))
            axes.scatter(100 * values, heights, s=14, alpha=0.55, linewidths=0, color=style.colour(place))
            axes.plot([100 * values.median()] * 2, [place - 0.3, place + 0.3], color=style.INK)
        style.name_rows(axes, [f"{s}: {t}" if t else s for (s, t), _ in parts])
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
