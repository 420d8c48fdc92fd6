"""The text that recorders burn into the frames of an endoscope, and how to take it out."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

MODES = ("detect", "published", "off")

# The published geometry, made for one make of recorder; the corner is taken to be the upper left, where its text is.
PUBLISHED_LEFT = 142
PUBLISHED_CORNER = (170, 50)  # width, height
PUBLISHED_SHIFT = 51  # pixels by which the picture then moves to the left

_DARK = 24  # grey levels; the border is black up to the noise of compression
_LEAST, _MOST = 0.15, 0.995  # shares of the frame that an endoscope's picture may cover to be believed


@dataclass(frozen=True)
class Overlay:
    """What to blank, and by how many pixels to move the picture to the left afterwards, black at its right edge.

    ``keep`` is uint8 (H, W), 255 where the picture stays and 0 where it is blanked; None: nothing is blanked.
    """

    keep: np.ndarray | None = None
    shift: int = 0

    def clean(self, pixels: np.ndarray) -> np.ndarray:
        """Apply it to a picture (H, W, 3) or a class map (H, W), uint8; blanked places become 0."""
        if self.keep is not None:
            pixels = cv2.bitwise_and(pixels, pixels, mask=self.keep)
        return self._shifted(pixels)

    def blank(self, pixels: np.ndarray) -> np.ndarray:
        """Blank a class map (H, W) that is drawn in the frame of the cleaned picture already."""
        if self.keep is not None:
            return cv2.bitwise_and(pixels, pixels, mask=self._shifted(self.keep))
        return pixels

    @property
    def kept(self) -> list[int] | None:
        """Left, top, width and height of the box of what stays, before the shift; None for all."""
        return None if self.keep is None else list(cv2.boundingRect(self.keep))

    def _shifted(self, pixels: np.ndarray) -> np.ndarray:
        if not self.shift:
            return pixels
        moved = np.zeros_like(pixels)
        moved[:, : -self.shift] = pixels[:, self.shift :]
        return moved


def published(size: tuple[int, int]) -> Overlay:
    """The published fixed geometry on a frame of ``size`` (width, height), whether it fits that size or not."""
    width, height = size
    keep = np.full((height, width), 255, np.uint8)
    keep[:, :PUBLISHED_LEFT] = 0
    keep[: PUBLISHED_CORNER[1], : PUBLISHED_CORNER[0]] = 0
    return Overlay(keep, min(PUBLISHED_SHIFT, width - 1))


def detect(pictures: Sequence[np.ndarray]) -> Overlay:
    """Find the endoscope's window in a few frames, uint8 (H, W, 3), of one size; all outside of it is blanked.

    The window is the largest bright region after thin strokes (text) have been opened away, made convex so that a
    dark lumen at its edge stays inside. Text written over the window itself is not found. Where no window stands out,
    everything is kept.
    """
    brightest = np.stack([picture.max(axis=2) for picture in pictures])
    # The upper quartile over the frames: a lumen is seldom at the same place, text and border always are.
    level = np.quantile(brightest, 0.75, axis=0, method="higher")
    height, width = level.shape
    side = max(round(min(height, width) / 30), 3) | 1
    stroke = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    bright = cv2.morphologyEx((level > _DARK).astype(np.uint8), cv2.MORPH_OPEN, stroke)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    if count < 2:
        return Overlay()
    window = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    contours, _ = cv2.findContours(window, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    keep = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), cv2.convexHull(np.vstack(contours)), 255)
    share = cv2.countNonZero(keep) / keep.size
    return Overlay(keep) if _LEAST <= share <= _MOST else Overlay()
