"""Run-length coding of binary masks.

A mask is the text ``"start length start length ..."``: runs of ones, row by row (row-major), starts counted from 1.
The empty mask is the empty text.
"""

import re

import cv2
import numpy as np

from medseg.errors import MedsegError

_NUMBER = re.compile(r"[0-9]{1,18}")  # fits in an int64


def encode(mask: np.ndarray) -> str:
    """Code a binary mask.

    Only the bounding box of the ones is looked at in detail, which is what makes it fast for small structures.

    Args:
        mask: (H, W), bool or uint8 with the values 0 and 1.

    Raises:
        ValueError: the array is not a binary mask.
    """
    if mask.ndim != 2 or mask.dtype not in (bool, np.uint8):
        raise ValueError(f"expected a mask (H, W) of bool or uint8, got {mask.shape} of {mask.dtype}")
    if mask.size == 0:
        return ""
    pixels = mask.view(np.uint8)
    # The maximum along an axis is several times faster in OpenCV than numpy's any().
    rows = np.flatnonzero(cv2.reduce(pixels, 1, cv2.REDUCE_MAX))
    if rows.size == 0:
        return ""
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(cv2.reduce(pixels[top:bottom], 0, cv2.REDUCE_MAX))
    left, right = int(columns[0]), int(columns[-1]) + 1
    box = pixels[top:bottom, left:right]
    if box.max() > 1:
        raise ValueError(f"expected a mask of 0 and 1, got values up to {box.max()}")

    # A zero after each row ends the runs there. Only a box as wide as the mask goes without: a run may go on from the
    # last column into the next row, and then both columns are set and the box is that wide.
    height, width = box.shape
    stride = width + (width < mask.shape[1])
    line = np.zeros(height * stride + 2, np.uint8)
    line[1:-1].reshape(height, stride)[:, :width] = box
    edges = np.flatnonzero(line[1:] != line[:-1])
    row, column = np.divmod(edges[::2], stride)
    runs = np.empty((row.size, 2), np.int64)
    runs[:, 0] = (top + row) * mask.shape[1] + left + column + 1
    runs[:, 1] = edges[1::2] - edges[::2]
    return " ".join(map(str, runs.ravel().tolist()))


def decode(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """The mask of a text as :func:`encode` writes it; runs that touch are accepted as well.

    Args:
        rle: run-length code.
        shape: (H, W) of the mask.

    Returns:
        uint8 (H, W) of 0 and 1.

    Raises:
        MedsegError: the text is malformed, or does not fit the shape; the message names the number or run.
    """
    tokens = rle.split()
    for position, token in enumerate(tokens, 1):
        if not _NUMBER.fullmatch(token):
            raise _malformed(f"number {position} is {token[:40]!r}, not a whole number", shape)
    if len(tokens) % 2:
        raise _malformed(f"it has {len(tokens)} numbers, so that the last start has no length", shape)
    mask = np.zeros(shape, np.uint8)
    line, end = mask.reshape(-1), 0
    numbers = list(map(int, tokens))
    for run, (start, length) in enumerate(zip(numbers[::2], numbers[1::2], strict=True), 1):
        if start < 1 or length < 1:
            raise _malformed(f"run {run} is '{start} {length}', but starts and lengths count from 1", shape)
        if start <= end:
            raise _malformed(f"run {run} starts at {start}, but the run before it ends at {end}", shape)
        end = start + length - 1
        if end > mask.size:
            raise _malformed(f"run {run} is '{start} {length}' and ends at {end}, beyond pixel {mask.size}", shape)
        line[start - 1 : end] = 1
    return mask


def _malformed(fault: str, shape: tuple[int, int]) -> MedsegError:
    return MedsegError(
        f"Malformed run-length code for a mask of {shape[0]} x {shape[1]} pixels: {fault}. "
        "Expected 'start length start length ...', row by row, starts from 1, in ascending order without overlap."
    )
