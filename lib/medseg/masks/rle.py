"""Run-length coding of binary masks.

A mask is the text ``"start length start length ..."``: runs of ones, row by row (row-major), starts counted from 1.
The empty mask is the empty text.
"""

import re

import numpy as np

from medseg.errors import MedsegError
from medseg.masks.box import as_pixels, bounding_box

_NUMBER = re.compile(r"[0-9]{1,18}")  # fits in an int64
_DIGITS_AND_SPACE = b"0123456789 \t\r\n"


def encode(mask: np.ndarray) -> str:
    """The code of a mask (H, W), bool or uint8 with the values 0 and 1.

    Only the bounding box of the ones is looked at in detail, which is what makes it fast for small structures. Raises
    ValueError: the array is not a binary mask.
    """
    pixels, box = as_pixels(mask), bounding_box(mask)
    if box is None:
        return ""
    top, left = (side.start for side in box)
    inside = pixels[box]

    # A zero after each row ends the runs there. Only a box as wide as the mask goes without: a run may go on from the
    # last column into the next row, and then both columns are set and the box is that wide.
    height, width = inside.shape
    stride = width + (width < mask.shape[1])
    line = np.zeros(height * stride + 2, np.uint8)
    line[1:-1].reshape(height, stride)[:, :width] = inside
    edges = np.flatnonzero(line[1:] != line[:-1])
    row, column = np.divmod(edges[::2], stride)
    runs = np.empty((row.size, 2), np.int64)
    runs[:, 0] = (top + row) * mask.shape[1] + left + column + 1
    runs[:, 1] = edges[1::2] - edges[::2]
    return text(runs)


def decode(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """The mask uint8 (H, W) of 0 and 1 of a text as :func:`encode` writes it; runs that touch are accepted as well.

    Raises MedsegError: the text is malformed, or does not fit the shape; the message names the number or run.
    """
    mask = np.zeros(shape, np.uint8)
    line = mask.reshape(-1)
    for start, length in runs(rle, shape).tolist():
        line[start - 1 : start - 1 + length] = 1
    return mask


def runs(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """The runs of a text for a mask of ``shape`` (H, W), without drawing them; raises what :func:`decode` does.

    int64 (n, 2) of starts (from 1) and lengths (from 1), ascending and without overlap; runs may touch.
    """
    size, raw = shape[0] * shape[1], rle.encode("ascii", "replace")
    if raw.translate(None, _DIGITS_AND_SPACE):
        raise _fault(rle, shape)
    numbers = np.fromstring(raw.strip(), np.int64, sep=" ")  # saturates where a number is too large for an int64
    # First that no number is below 1 or above the size: only then can the ends not overflow.
    if numbers.size % 2 or (numbers.size and (numbers.min() < 1 or numbers.max() > size)):
        raise _fault(rle, shape)
    pairs = numbers.reshape(-1, 2)
    ends = pairs.sum(axis=1)
    if (pairs[1:, 0] < ends[:-1]).any() or (ends[-1:] > size + 1).any():
        raise _fault(rle, shape)
    return pairs


def text(pairs: np.ndarray) -> str:
    """The code of runs (n, 2) of starts and lengths."""
    return " ".join(map(str, pairs.ravel().tolist()))


def _fault(rle: str, shape: tuple[int, int]) -> MedsegError:
    """What is wrong with a text that :func:`runs` refused, found number by number."""
    tokens = rle.split()
    for position, token in enumerate(tokens, 1):
        if not _NUMBER.fullmatch(token):
            return _malformed(f"number {position} is {token[:40]!r}, not a whole number", shape)
    if len(tokens) % 2:
        return _malformed(f"it has {len(tokens)} numbers, so that the last start has no length", shape)
    size, end = shape[0] * shape[1], 0
    numbers = list(map(int, tokens))
    for run, (start, length) in enumerate(zip(numbers[::2], numbers[1::2], strict=True), 1):
        if start < 1 or length < 1:
            return _malformed(f"run {run} is '{start} {length}', but starts and lengths count from 1", shape)
        if start <= end:
            return _malformed(f"run {run} starts at {start}, but the run before it ends at {end}", shape)
        end = start + length - 1
        if end > size:
            return _malformed(f"run {run} is '{start} {length}' and ends at {end}, beyond pixel {size}", shape)
    return _malformed("it holds white space other than blanks, tabs and line breaks", shape)


def _malformed(fault: str, shape: tuple[int, int]) -> MedsegError:
    return MedsegError(
        f"Malformed run-length code for a mask of {shape[0]} x {shape[1]} pixels: {fault}. "
        "Expected 'start length start length ...', row by row, starts from 1, in ascending order without overlap."
    )
