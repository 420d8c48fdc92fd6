"""Truth and prediction on a picture: both outlines, and what was found, missed and invented."""

from html import escape

import cv2
import numpy as np

from medseg.masks import outlines
from medseg.reporting.fragments import Figure, Fragment

WIDTH = 360  # pixels of one picture; a tile holds two and is shown at half its size
_GAP = 4
_TRUTH, _PREDICTION, _RIM = (255, 255, 255), (240, 228, 66), (20, 20, 20)
#: Light, orange and blue differ in lightness and hue, so that colour-blind readers tell them apart.
_FOUND, _MISSED, _INVENTED = (226, 230, 234), (230, 159, 0), (86, 180, 233)
_LEGEND = {
    "outline of the truth": _TRUTH,
    "outline of the prediction": _PREDICTION,
    "found": _FOUND,
    "missed": _MISSED,
    "false alarm": _INVENTED,
}


def tile(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, name: str, caption: str) -> Figure:
    """Outlines and difference map side by side.

    Args:
        image: (H, W, 3) uint8 RGB, :data:`WIDTH` pixels wide.
        truth: (H, W) bool.
        prediction: (H, W) bool.
        name: what is shown, for those who cannot see it.
    """
    alt = (
        f"{name}: picture with the outlines of truth and prediction, and a map in which {share(truth & prediction)} of "
        f"the picture is found, {share(truth & ~prediction)} missed and {share(prediction & ~truth)} a false alarm."
    )
    gap = np.full((image.shape[0], _GAP, 3), 128, np.uint8)
    pixels = np.hstack([outlined(image, truth, prediction), gap, difference(image, truth, prediction)])
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return Figure(encoded.tobytes(), "image/jpeg", pixels.shape[1] // 2, caption, alt, "tile")


def outlined(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The picture with both outlines; a dark rim keeps them visible on any ground."""
    drawn = image.copy()
    for mask in (truth, prediction):
        outlines.draw(drawn, mask, _RIM, width=5)
    for mask, colour in ((truth, _TRUTH), (prediction, _PREDICTION)):
        outlines.draw(drawn, mask, colour)
    return drawn


def difference(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The picture in dim grey; found, missed and invented pixels in their colours."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, axis=2) * 0.5
    for area, colour in (
        (truth & prediction, _FOUND),
        (truth & ~prediction, _MISSED),
        (prediction & ~truth, _INVENTED),
    ):
        grey[area] = 0.25 * grey[area] + 0.75 * np.array(colour)
    return grey.round().astype(np.uint8)


def share(area: np.ndarray) -> str:
    """Share of the picture that an area covers, in words."""
    return f"{100 * area.mean():.1f} %"


def heading(text: str) -> Fragment:
    """A heading between tiles."""
    return Fragment(f"<h3>{escape(text)}</h3>", text)


def legend() -> Fragment:
    """What the colours mean."""
    swatch = "display:inline-block;width:.8em;height:.8em;border:1px solid #888;border-radius:2px;margin-right:.4em"
    items = "".join(
        f'<span style="margin-right:1.25em;white-space:nowrap"><span style="{swatch};background:rgb{colour}"></span>'
        f"{name}</span>"
        for name, colour in _LEGEND.items()
    )
    return Fragment(f'<p class="legend">{items}</p>', f"Left: outlines. Right: {', '.join(list(_LEGEND)[2:])}.")
