"""Maps and masks that some method wrote, one in a file, with the values that the file has."""

from pathlib import Path

import numpy as np
from PIL import Image

from medseg.datasets.folders import BadFile

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy", ".npz")
_BITS_16 = 65535
_ROUNDING = 1e-3  # what sums of rounded probabilities, and bicubic scaling, leave beside 0 and 1


def values(file: Path, indices: bool = False) -> np.ndarray:
    """The values (H, W) of a file, bool, integers or floating; of colours the brightest channel.

    A palette of greys is read by its greys, of colours by its indices; ``indices``: by these in any case. BadFile:
    damaged, several maps, or something else.
    """
    try:
        found = _array(file) if file.suffix.casefold() in (".npy", ".npz") else _picture(file, indices)
    except BadFile:
        raise
    except Exception as error:  # numpy and Pillow raise nearly anything on damaged input
        raise BadFile(f"damaged, or no map: {error or type(error).__name__}", file) from error
    found = np.squeeze(found)
    if found.ndim == 3 and found.shape[2] in (3, 4):
        found = found[..., :3].max(2)
    if found.ndim != 2 or not found.size:
        raise BadFile(f"has the shape {found.shape}, expected one map (height, width)", file)
    if found.dtype.kind not in "buif":
        raise BadFile(f"holds values of the type {found.dtype}, expected numbers", file)
    return found


def probabilities(found: np.ndarray, file: Path, top: float | None = None) -> np.ndarray:
    """float32 in [0, 1] of :func:`values`; integers are divided by ``top``, None: 255 or 65535 by their type.

    BadFile: values that are no probabilities.
    """
    if found.dtype.kind in "ui":
        full = 255 if found.dtype.itemsize == 1 else _BITS_16
        found = found.astype(np.float32) / (full if top is None else top)
    found = found.astype(np.float32)
    low, high = float(found.min()), float(found.max())
    if not np.isfinite(found).all():
        raise BadFile("has values that are no numbers (NaN or infinite), expected probabilities from 0 to 1", file)
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise BadFile(
            f"has values from {low:.4g} to {high:.4g}, expected probabilities from 0 to 1, or whole numbers of 8 or 16 "
            "bits. Of logits take the sigmoid first",
            file,
        )
    return found.clip(0, 1)


def classes(found: np.ndarray, file: Path, number: int) -> np.ndarray:
    """Integers from 0 to ``number`` of :func:`values`; BadFile: other values."""
    whole = np.isfinite(found).all() and (found == np.round(found)).all()
    if not whole or found.min() < 0 or found.max() > number:
        wrong = [value for value in np.unique(found) if value not in range(number + 1)]
        raise BadFile(f"has the value {wrong[-1]:g}, expected whole numbers from 0 to {number}, the classes", file)
    return found.astype(np.intp)


def _array(file: Path) -> np.ndarray:
    if file.suffix.casefold() == ".npy":
        return np.load(file, allow_pickle=False)
    with np.load(file, allow_pickle=False) as content:
        if len(content.files) != 1:
            raise BadFile(f"holds {len(content.files)} arrays, expected one", file)
        return content[content.files[0]]


def _picture(file: Path, indices: bool) -> np.ndarray:
    with Image.open(file) as image:
        if (several := getattr(image, "n_frames", 1)) > 1:
            raise BadFile(f"holds {several} pictures, expected one", file)
        if image.mode == "F":
            return np.asarray(image)
        if image.mode.startswith("I"):
            found = np.asarray(image)
            if found.min() < 0 or found.max() > _BITS_16:
                raise BadFile(f"has values from {found.min()} to {found.max()}, expected 8 or 16 bits", file)
            return found.astype(np.uint16)
        if image.mode == "P" and (indices or _coloured(image)):
            return np.asarray(image)
        return np.asarray(image if image.mode == "1" else image.convert("RGB" if image.mode not in "LP" else "L"))


def _coloured(image: Image.Image) -> bool:
    palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    found = np.unique(np.asarray(image))
    used = palette[found[found < len(palette)]]
    return bool((used != used[:, :1]).any())
