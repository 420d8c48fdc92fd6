"""The same picture under another name, size or JPEG quality: told by a perceptual hash, confirmed by its detail.

The hash is pHash (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions): the lowest 8 x 8
frequencies of the picture at 32 x 32 pixels, each above or below their median. Dark frames and frames with the same
border have hashes alike, so the detail at 32 x 32 pixels, without what is smooth, must correlate too; in it an edge,
such as a border's, is cut to the strength of a texture. A mirrored, turned or cropped copy is not recognised.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 32
MOST_DISTANCE = 8  # of 64 bits; copies at 0.3 to 1.2 times the size, JPEG quality 20 to 90: at most 6
LEAST_CORRELATION = 0.9  # such copies: 0.97 or more; pictures of two public sets: 0.6 at most
_SMOOTH = 2.0  # sd in pixels of 32 x 32, of what is taken off as smooth
_STRONG = 8.0  # grey values (0 to 255) beyond which a detail is an edge that many frames share, and is cut
_FLAT = 0.5  # sd of the grey values (0 to 255) of a detail that tells nothing
_BLOCK = 256


class Look(NamedTuple):
    """What a picture looks like: ``bits``, the hash of 64 bits, and ``detail``, float32 (1024,) of length 1 or 0."""

    bits: int
    detail: np.ndarray


class Twins(NamedTuple):
    """Two pictures that look the same, by their numbers, and how many of 64 bits of their hashes differ."""

    first: int
    second: int
    distance: int


def look(grey: np.ndarray) -> Look:
    """The look of a picture, uint8 (height, width) of any size; the detail of one that is all alike is 0."""
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")
    detail = np.clip(small - cv2.GaussianBlur(small, (0, 0), _SMOOTH), -_STRONG, _STRONG).ravel()
    length = float(np.linalg.norm(detail))
    return Look(bits, detail / length if length > _FLAT * SIDE else np.zeros_like(detail))


def twins(looks: Sequence[Look], parts: Sequence[Hashable]) -> list[Twins]:
    """All pairs that look the same and lie in two different ``parts`` (one of every picture), by their numbers.

    The same: at most :data:`MOST_DISTANCE` bits differ, and the details correlate by :data:`LEAST_CORRELATION` or
    more. 10,000 pictures take a few seconds.
    """
    if not looks:
        return []
    bits = np.array([one.bits for one in looks], np.uint64)
    details = np.stack([one.detail for one in looks])
    numbers = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    part_of = np.array([numbers[part] for part in parts])
    found = []
    for start in range(0, len(looks), _BLOCK):
        rows = slice(start, start + _BLOCK)
        apart = np.bitwise_count(bits[rows, None] ^ bits[None, start:])
        first, second = np.nonzero((apart <= MOST_DISTANCE) & (part_of[rows, None] != part_of[None, start:]))
        first, second = (side[first < second] for side in (first, second))
        for chunk in range(0, len(first), 4096):
            a, b = (side[chunk : chunk + 4096] for side in (first, second))
            same = np.einsum("ij,ij->i", details[start + a], details[start + b]) >= LEAST_CORRELATION
            pairs = zip(a[same], b[same], strict=True)
            found += [Twins(int(start + x), int(start + y), int(apart[x, y])) for x, y in pairs]
    return found
