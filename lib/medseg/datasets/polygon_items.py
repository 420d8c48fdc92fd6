"""Training and validation items of overlapping classes: a grey picture and the bits of all classes.

The polygons are read once and kept. For each item one affine map moves the picture, from a cache that is shared by
all processes, and the corners of the polygons, which are then drawn at the training resolution. Masks stay bits until
they are on the device.
"""

import math

import cv2
import numpy as np
import pandas as pd

from medseg.datasets.augmentation.presets import parse_augmentation
from medseg.datasets.augmentation.warp import fit_matrix, generator
from medseg.datasets.frames import read_outlines
from medseg.datasets.index import PreparedDataset
from medseg.datasets.picture_cache import PictureCache
from medseg.datasets.polygons import PolygonSet, rasterise_bits
from medseg.errors import MedsegError

_MARGIN = 1.5
"""Side of the cached pictures relative to the resolution, where they are moved.

Measured on X-ray-like texture under ``crop_rotate``: moved from a cache of the resolution itself, pictures keep 70 %
(at 512) and 85 % (at 1024) of the sharpness of untouched ones (standard deviation of the Laplacian); at 1.25, 81 % and
91 %; at 1.5, 91 % and 100 %; at 2 they exceed it, by aliasing. The time is about the same.
"""

Item = tuple[np.ndarray, np.ndarray]


class PolygonItems:
    """Items of ``rows``, addressed by number; cheap to send to worker processes.

    Where the augmentation moves pictures, they are kept larger than the resolution, lest training pictures be more
    blurred than those of validation; see :func:`cache_size`.

    ``rows`` are of the index of a dataset whose labels are polygons, ``resolution`` is the side of the training
    pictures in pixels; for ``augmentation`` and ``side_is_predicted`` see
    :func:`medseg.datasets.augmentation.presets.parse_augmentation`. Raises MedsegError: a bad augmentation, a label
    that cannot be read, or one whose size is not that of its picture.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        rows: pd.DataFrame,
        *,
        resolution: int,
        augmentation: str = "none",
        seed: int = 0,
        side_is_predicted: bool = False,
    ) -> None:
        self._resolution, self._seed = resolution, seed
        self._augmentation = parse_augmentation(augmentation, side_is_predicted=side_is_predicted)
        self._images = list(rows["image"])
        self._polygons = [read_outlines(dataset, label) for label in rows["label"]]
        _check_sizes(rows, self._polygons)
        sizes = {polygons.size for polygons in self._polygons}
        moves = bool(self._augmentation.geometric)
        zoom = max((self._augmentation.zoom(size) for size in sizes if moves), default=0.0)
        largest = max((max(size) for size in sizes), default=resolution)
        self._pictures = PictureCache(dataset, cache_size(resolution, zoom, largest))

    def __len__(self) -> int:
        return len(self._images)

    def training(self, epoch: int, number: int) -> Item:
        """One augmented item; the same for the same seed, epoch and number.

        Picture uint8 (R, R), black outside the whole picture, and classes int32 (R, R), bit k for class k.
        """
        rng, polygons = generator(self._seed, epoch, number), self._polygons[number]
        matrix = self._augmentation.matrix(rng, polygons.size, self._resolution)
        picture = _warped(self._pictures[self._images[number]], self._from_cache(polygons, matrix), self._resolution)
        return self._augmentation.tone(picture, rng), self._drawn(polygons, matrix)

    def plain(self, number: int) -> Item:
        """One item that is resized and nothing else: arrays as of :meth:`training`."""
        polygons, picture = self._polygons[number], self._pictures[self._images[number]]
        side, kept = self._resolution, self._pictures.size
        resized = picture.copy() if side == kept else cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        # By way of the cached picture, whose sides were rounded to whole pixels.
        return resized, self._drawn(polygons, fit_matrix(polygons.size, kept) * (side / kept))

    def _drawn(self, polygons: PolygonSet, matrix: np.ndarray) -> np.ndarray:
        return rasterise_bits(polygons.transformed(matrix, (self._resolution, self._resolution)))

    def _from_cache(self, polygons: PolygonSet, matrix: np.ndarray) -> np.ndarray:
        """The map of points of the cached picture instead of those of the picture itself."""
        to_cache = fit_matrix(polygons.size, self._pictures.size)
        scale = 1 / to_cache[[0, 1], [0, 1]]
        return np.hstack([matrix[:, :2] * scale, matrix[:, 2:]])


def cache_size(resolution: int, zoom: float, largest: int) -> int:
    """Side of the cached pictures, in pixels, for training pictures of side ``resolution``.

    Args:
        zoom: greatest usual magnification of the augmentation; 0 where it moves nothing.
        largest: longer side of the largest picture, in pixels; more than that is never kept.
    """
    if zoom == 0 or largest <= resolution:
        return resolution
    return min(32 * math.ceil(resolution * max(zoom, _MARGIN) / 32), largest)


def _warped(picture: np.ndarray, matrix: np.ndarray, resolution: int) -> np.ndarray:
    """A new picture (resolution, resolution) by a map of continuous points; OpenCV counts from pixel centres."""
    if picture.shape == (resolution, resolution) and np.allclose(matrix, np.eye(2, 3), rtol=0, atol=1e-9):
        return picture.copy()
    offset = matrix[:, 2] + matrix[:, :2].sum(axis=1) / 2 - 0.5
    return cv2.warpAffine(picture, np.column_stack([matrix[:, :2], offset]), (resolution, resolution))


def _check_sizes(rows: pd.DataFrame, polygons: list[PolygonSet]) -> None:
    """Where the index tells the size of the pictures, the labels must agree."""
    if not {"width_px", "height_px"} <= set(rows.columns):
        return
    told = zip(rows["case_id"], rows["width_px"], rows["height_px"], strict=True)
    for (case, width, height), outlines in zip(told, polygons, strict=True):
        if outlines.size != (int(width), int(height)):
            raise MedsegError(
                f"The picture of {case} is {width} x {height} pixels, its label file says "
                f"{outlines.size[0]} x {outlines.size[1]}. Prepare the dataset again."
            )
