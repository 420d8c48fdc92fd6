"""Pictures, and pictures with their masks, from files that may be broken or odd, and PNG for what comes out.

Everything is brought to 8 bits: wider values are scaled from the range of 8, 12 or 16 bits, the smallest that holds
them. An alpha channel, or any channel after the third, is dropped, and that is noted. An orientation tag (EXIF) is
applied, to pictures and to masks, each by its own tag; a pair of which it does not say how the two lie on one another
is refused.
"""

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from medseg.datasets.folders import BadFile

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEPTHS = (255, 4095, 65535)  # full scale of 8, 12 and 16 bits
_ORIENTATION = 0x0112  # EXIF, and the same number in TIFF
_MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 0
_BITS = 258  # TIFF
_PNG_START = b"\x89PNG\r\n\x1a\n"
_WIDE_COLOUR_PNG = {2: 3, 4: 1, 6: 3}  # channels that are kept, by the colour type of a PNG that has several
_PNG_LEVEL = 3  # 12 % larger files than the default level 6, written three times as fast

Result = TypeVar("Result")

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it also raises


@dataclass(frozen=True)
class ReadMask:
    """A mask as its file has it, before anybody says what is foreground.

    Attributes:
        values: uint8 (height, width): grey values, of colours the brightest channel, or indices.
        kind: ``index`` for the indices of a palette that has colours; ``colour`` for three channels that differ.
        exact: whether the file keeps values exactly, as JPEG does not.
        black_is_first: of a palette, whether its index 0 is black.
    """

    values: np.ndarray
    kind: Literal["grey", "colour", "index"] = "grey"
    exact: bool = True
    black_is_first: bool = True


@dataclass(frozen=True)
class Pair:
    """A picture, uint8 (height, width, 3), RGB, and its mask, which overlays it; and what was noted while reading."""

    picture: np.ndarray
    mask: ReadMask
    notes: tuple[str, ...] = ()


@dataclass
class _Opened:
    """A picture as it is being read: 8-bit pixels (H, W) or (H, W, C), or a palette's indices, and what was noted."""

    pixels: np.ndarray
    lossy: bool = False
    palette: np.ndarray | None = None  # (n, 3) colours, where the pixels are indices of some
    notes: list[str] = field(default_factory=list)


def read_picture(path: Path, notes: list[str] | None = None) -> np.ndarray:
    """Read a picture of any common kind: uint8 (height, width, 3), RGB.

    ``notes`` receives in words what was left out of it. Raises BadFile: empty, truncated, damaged, no picture, several
    pictures, too large, or of a kind not supported.
    """
    opened = _read(path, lambda image: _Opened(_to_8_bit(image)))
    pixels = opened.pixels
    if notes is not None:
        notes += opened.notes
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def read_grey(path: Path) -> np.ndarray:
    """Read the values of a grey picture: uint8 (height, width); of a coloured one the brightest channel counts.

    Raises BadFile: as :func:`read_picture`.
    """
    pixels = _read(path, lambda image: _Opened(_to_8_bit(image))).pixels
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)


def read_mask(path: Path) -> ReadMask:
    """Read a mask as it is; BadFile as :func:`read_picture`.

    A palette that has colours is read by index, never by how bright its colours are.
    """
    opened = _read(path, _opened_mask)
    if opened.palette is not None:
        return ReadMask(opened.pixels, "index", black_is_first=not opened.palette[0].any())
    if opened.pixels.ndim == 2:
        return ReadMask(opened.pixels, exact=not opened.lossy)
    coloured = (opened.pixels != opened.pixels[..., :1]).any()
    return ReadMask(opened.pixels.max(axis=2), "colour" if coloured else "grey", not opened.lossy)


def read_pair(image: Path, mask: Path) -> Pair:
    """Read a picture and its mask, which overlays it.

    Each is turned by its own orientation tag (EXIF). Where one of them alone is tagged, the sizes must tell that the
    mask was drawn on the turned picture: files of the same size may lie on one another as stored or as shown.

    Raises BadFile with its ``path``: as :func:`read_picture`, the tags leave that open, or the sizes differ.
    """
    notes: list[str] = []
    picture, read = _of_file(lambda path: read_picture(path, notes), image), _of_file(read_mask, mask)
    tags = orientation(image), orientation(mask)
    size, mask_size = picture.shape[1::-1], read.values.shape[::-1]
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
    return Pair(picture, read, tuple(notes))


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG file of uint8 ``pixels``, (height, width) or (height, width, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def orientation(path: Path) -> int:
    """The EXIF orientation of a file that could be read, 1 to 8; 1 where there is none, or none that is valid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                tag = image.getexif().get(_ORIENTATION, 1)
    except UnidentifiedImageError:  # an unusual TIFF, which is refused unless its tag is 1
        return 1
    return tag if tag in range(1, 9) else 1


def _of_file(read: Callable[[Path], Result], path: Path) -> Result:
    try:
        return read(path)
    except BadFile as error:
        raise BadFile(error.reason, path) from error


def _as_stored(shown: tuple[int, ...], tag: int) -> tuple[int, ...]:
    return shown[::-1] if tag >= 5 else shown  # 5 to 8 change width and height


def _read(path: Path, convert: Callable[[Image.Image], _Opened]) -> _Opened:
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
                if image.format == "TIFF" and len(bits := image.tag_v2.get(_BITS, ())) > 1 and bits[0] == 16:
                    return _read_unusual_tiff(data)  # Pillow keeps the upper 8, whatever they hold
                image.load()
                opened = convert(ImageOps.exif_transpose(image))
                if data.startswith(_PNG_START) and data[24] == 16 and data[25] in _WIDE_COLOUR_PNG:
                    opened.pixels = _of_wide_png(data, image)
                opened.lossy = image.format not in ("PNG", "TIFF", "BMP", "GIF")
                opened.notes += _alpha(image)
                return opened
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


def _opened_mask(image: Image.Image) -> _Opened:
    if image.mode == "P":
        indices = np.asarray(image)
        palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
        used = palette[np.unique(indices[indices < len(palette)])]
        if (used != used[:, :1]).any():
            return _Opened(indices, palette=palette)
    return _Opened(_to_8_bit(image))


def _alpha(image: Image.Image) -> list[str]:
    """What is to be said of the channel of ``image`` that is left out; [] where there is none."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return []
    hidden = np.asarray(image.convert("RGBA"))[..., 3].min() < 255
    return [f"an alpha channel{', which hides part of the picture,' if hidden else ''} dropped"]


def _of_wide_png(data: bytes, image: Image.Image) -> np.ndarray:
    """Pixels of a PNG of 16 bits and several channels, of which Pillow keeps the upper 8 whatever they hold."""
    if image.getexif().get(_ORIENTATION, 1) != 1:
        raise BadFile("colours of 16 bits with an orientation tag (EXIF); save it without the tag, turned as shown")
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None:
        raise BadFile("damaged, or a kind of PNG that is not supported; save it with 8 bits")
    kept = wide[..., :3][..., ::-1]  # OpenCV's order is blue, green, red
    return _from_wide_integers(kept if _WIDE_COLOUR_PNG[data[25]] == 3 else kept[..., 0])


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


def _read_unusual_tiff(data: bytes) -> _Opened:
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
    notes = []
    if pixels.ndim == 3:
        if (extra := pixels.shape[2] - 3) > 0:
            notes.append(f"{'a channel' if extra == 1 else f'{extra} channels'} after the third dropped")
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    return _Opened(pixels if pixels.dtype == np.uint8 else _from_wide_integers(pixels), notes=notes)
