"""Pictures and masks from files that may be broken, odd or impure, and PNG for what comes out.

Everything is brought to 8 bits: wider grey values are scaled from the range of 8, 12 or 16 bits, the smallest that
holds them; of colours of 16 bits the upper 8 are kept. An alpha channel, or any channel after the third, is dropped.
An orientation tag (EXIF) is applied, to pictures and to masks, each by its own tag; a pair of which it does not say how
the two lie on one another is refused.
"""

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from medseg.datasets.folders import BadFile

THRESHOLD = 127
CLEANING_RULE = f"polyp where the 8-bit value > {THRESHOLD}; a mask without a value above 1: polyp where 1"

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEPTHS = (255, 4095, 65535)  # full scale of 8, 12 and 16 bits
_ORIENTATION = 0x0112  # EXIF, and the same number in TIFF
_MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 0
_PNG_LEVEL = 3  # 12 % larger files than the default level 6, written three times as fast

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it also raises


@dataclass(frozen=True)
class CleanedMask:
    """One mask before and after cleaning.

    Attributes:
        before, after: uint8 (height, width), the values as they were, and 0 or 255.
        impure: bool (height, width), where ``before`` was neither 0 nor 255.
    """

    before: np.ndarray
    after: np.ndarray
    impure: np.ndarray


def read_picture(path: Path) -> np.ndarray:
    """Read a picture of any common kind: uint8 (height, width, 3), RGB.

    Raises BadFile: empty, truncated, damaged, no picture, several pictures, too large, or of a kind not supported.
    """
    pixels = _read_pixels(path)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def read_mask(path: Path) -> np.ndarray:
    """Read a mask as it is, before cleaning: uint8 (height, width); of a coloured one the brightest channel counts.

    Raises BadFile: as :func:`read_picture`.
    """
    pixels = _read_pixels(path)
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)


def read_pair(image: Path, mask: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a picture, uint8 (height, width, 3), and its mask before cleaning, uint8 (height, width), that overlays it.

    Each is turned by its own orientation tag (EXIF). Where one of them alone is tagged, the sizes must tell that the
    mask was drawn on the turned picture: files of the same size may lie on one another as stored or as shown.

    Raises BadFile with its ``path``: as :func:`read_picture`, the tags leave that open, or the sizes differ.
    """
    picture, values = _of_file(read_picture, image), _of_file(read_mask, mask)
    tags = _orientation(image), _orientation(mask)
    size, mask_size = picture.shape[1::-1], values.shape[::-1]
    same_size = _as_stored(size, tags[0]) == _as_stored(mask_size, tags[1])
    if tags[0] != tags[1] and (same_size or 1 not in tags):
        raise BadFile(
            f"the orientation tag (EXIF) of the image is {tags[0]}, that of its mask {tags[1]} (1: none): whether the "
            "mask was drawn on the picture as stored or as turned cannot be known. Save both without the tag, turned "
            "alike",
            mask,
        )
    if size != mask_size:
        raise BadFile(
            f"the mask is {mask_size[0]} x {mask_size[1]} pixels, its image {size[0]} x {size[1]}"
            + (f" (orientation tags {tags[0]} of the image, {tags[1]} of the mask)" if tags != (1, 1) else ""),
            mask,
        )
    return picture, values


def clean_mask(values: np.ndarray) -> np.ndarray:
    """Apply :data:`CLEANING_RULE` to uint8 (height, width), giving 0 or 255."""
    polyp = values > (THRESHOLD if values.max(initial=0) > 1 else 0)
    return polyp.astype(np.uint8) * 255


def before_after(mask: Path) -> CleanedMask:
    """What cleaning does to one mask file, for a figure; BadFile as :func:`read_mask`."""
    before = read_mask(Path(mask))
    return CleanedMask(before, clean_mask(before), (before != 0) & (before != 255))


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG file of uint8 ``pixels``, (height, width) or (height, width, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _of_file(read: Callable[[Path], np.ndarray], path: Path) -> np.ndarray:
    try:
        return read(path)
    except BadFile as error:
        raise BadFile(error.reason, path) from error


def _orientation(path: Path) -> int:
    """The EXIF orientation of a file that could be read, 1 to 8; 1 where there is none, or none that is valid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                tag = image.getexif().get(_ORIENTATION, 1)
    except UnidentifiedImageError:  # an unusual TIFF, which is refused unless its tag is 1
        return 1
    return tag if tag in range(1, 9) else 1


def _as_stored(shown: tuple[int, ...], tag: int) -> tuple[int, ...]:
    return shown[::-1] if tag >= 5 else shown  # 5 to 8 change width and height


def _read_pixels(path: Path) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise BadFile("the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.verify()  # checksums; the image must be opened anew after it
            with Image.open(io.BytesIO(data)) as image:
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise BadFile(f"holds {frames} pictures, expected one")
                image.load()
                return _to_8_bit(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        if data.startswith(_TIFF_STARTS):
            return _read_unusual_tiff(data)
        raise BadFile("not a picture: PNG, JPEG, TIFF or BMP expected, or the file is damaged") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadFile(f"more than {_MOST_PIXELS / 1e6:.0f} million pixels, no camera frame") from error
    except BadFile:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged input; none of it may end the work
        raise BadFile(f"damaged or truncated: {error or type(error).__name__}") from error


def _to_8_bit(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise BadFile("has floating-point values, expected 8 or 16 bits")
    if image.mode.startswith("I"):
        return _from_wide_integers(np.asarray(image))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode == "LA":
        return np.asarray(image.getchannel(0))
    return np.asarray(image.convert("RGB"))


def _from_wide_integers(values: np.ndarray) -> np.ndarray:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > _DEPTHS[-1]:
        raise BadFile(f"has values from {lowest} to {highest}, expected 8 or 16 bits")
    full = next(limit for limit in _DEPTHS if highest <= limit)
    return ((values.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)


def _read_unusual_tiff(data: bytes) -> np.ndarray:
    """A TIFF whose tags Pillow refuses, such as CVC-ClinicDB's own pictures: three channels described as grey.

    OpenCV reads them without complaint, as the red channel alone.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            supported = (
                page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
                and page.dtype in (np.uint8, np.uint16)
                and page.tags.valueof("Orientation", 1) == 1
                and page.axes in ("YX", "YXS", "SYX")
            )
            if len(file.pages) > 1 or not supported or page.imagelength * page.imagewidth > _MOST_PIXELS:
                raise BadFile("a kind of TIFF that is not supported; convert it to PNG")
            pixels = page.asarray()
            pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    except BadFile:
        raise
    except Exception as error:  # as with Pillow
        raise BadFile(f"damaged or truncated TIFF: {error or type(error).__name__}") from error
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    return pixels if pixels.dtype == np.uint8 else _from_wide_integers(pixels)
