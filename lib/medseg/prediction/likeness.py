"""Whether a new picture looks like those that a network was trained on, by a few plain measures.

It finds what is grossly unlike (an X-ray among endoscopies, a picture much too dark), and no more: a picture that is
not flagged may still be one that the network knows nothing of.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np

MEASURES = ("brightness", "contrast", "colour", "sharpness", "shape")
#: Pictures of the training data that are looked at, spread evenly over it.
MOST = 200
_SIDE = 256  # pixels of the longer side at which a picture is measured
_MARGIN = 0.5  # of the range of the training pictures, on each side of it


def measure(picture: np.ndarray) -> np.ndarray:
    """The :data:`MEASURES` of a picture, (H, W) or (H, W, 3) uint8, as float64.

    Mean and standard deviation of its grey values (0 to 1), mean difference of its strongest and weakest channel (0 to
    1), logarithm of the variance of its Laplacian, logarithm of width over height.
    """
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    colour = 0.0 if small.ndim == 2 else float(np.ptp(small.astype(np.int16), axis=2).mean()) / 255
    edges = cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F)
    return np.array(
        [grey.mean() / 255, grey.std() / 255, colour, np.log1p(float(edges.var())), np.log(width / height)], np.float64
    )


class Likeness:
    """What is usual in the training pictures: for each measure their range, and half as much on either side.

    Args:
        pictures: as :func:`measure` takes them, one at least.
    """

    def __init__(self, pictures: Iterable[np.ndarray]) -> None:
        measured = np.stack([measure(picture) for picture in pictures])
        low, high = measured.min(0), measured.max(0)
        # Pictures that are all alike in something still may differ by a little.
        margin = np.maximum(_MARGIN * (high - low), [0.05, 0.05, 0.05, 0.5, 0.1])
        self._low, self._high = low - margin, high + margin

    def unlike(self, picture: np.ndarray) -> list[str]:
        """In which measures a picture lies outside of what is usual."""
        found = measure(picture)
        outside = (found < self._low) | (found > self._high)
        return [name for name, is_outside in zip(MEASURES, outside, strict=True) if is_outside]


def spread(count: int, read: Callable[[int], np.ndarray]) -> Iterable[np.ndarray]:
    """At most :data:`MOST` of ``count`` pictures, evenly spread, each by its number."""
    return (read(number) for number in np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(int)))
