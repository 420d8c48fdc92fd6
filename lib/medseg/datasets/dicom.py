"""Colour pictures out of DICOM files, one or one of many frames, whatever state the file is in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    convert_color_space,
    get_decoder,
    pixel_array,
)
from pydicom.uid import (
    UID,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from medseg.datasets import jpeg_header
from medseg.datasets.folders import BadFile

YBR_NOTE = "its header says RGB, its JPEG stream holds YCbCr; read as the latter"

_LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_OF_THE_EXTRA = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)  # what the extra [dicom] reads
_HEADER = 1 << 16  # bytes of a JPEG stream in which its frame is described
MAX_PIXELS = 100_000_000  # more is no camera frame, but a damaged header


@dataclass(frozen=True)
class DicomPicture:
    """Pixels uint8 (H, W, 3), RGB, and how they were stored.

    ``transfer_syntax`` is its name in the standard, such as ``Explicit VR Little Endian``; ``photometric`` the
    photometric interpretation, such as ``RGB`` or ``MONOCHROME2``, as the file has it; ``note`` what was
    put right, or "".
    """

    pixels: np.ndarray
    transfer_syntax: str
    photometric: str
    note: str = ""


def read(path: Path, frame: int | None = None) -> DicomPicture:
    """Read the picture of a DICOM file, or one ``frame``, from 0, of a file of several; only that one is decoded.

    YBR and palette colours become RGB, grey pictures three equal channels, MONOCHROME1 is inverted. More than 8 bits
    are brought to 8: through the file's window where it has one, else by dividing by the largest value its bits hold.
    Where a JPEG file says RGB and its chroma is subsampled, it is YCbCr, and ``note`` says so.
    Raises BadFile: no DICOM, truncated, no picture, several without ``frame``, a compression without decoder, or
    anything else.
    """
    with _explained(path):
        dataset = pydicom.dcmread(path, stop_before_pixels=frame is not None)
        _check(path, dataset, frame)
        syntax = dataset.file_meta.TransferSyntaxUID.name if "TransferSyntaxUID" in dataset.file_meta else "unknown"
        photometric, note = str(dataset.PhotometricInterpretation), ""
        hidden = _is_ybr_despite_its_header(path, dataset)
        pixels = pixel_array(dataset if frame is None else path, index=frame, raw=hidden)
        if hidden:
            pixels, note = convert_color_space(pixels, "YBR_FULL", "RGB"), YBR_NOTE
        return DicomPicture(_to_rgb(path, dataset, pixels), syntax, photometric, note)


def read_size(path: Path) -> tuple[int, int]:
    """Width and height (pixels) from the header alone; BadFile where that is no DICOM, or tells no size."""
    with _explained(path):
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(dataset.Columns), int(dataset.Rows)


def count_frames(path: Path) -> int:
    """How many pictures a DICOM file holds by its header, at least 1; BadFile where that is none."""
    with _explained(path):
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        return max(int(dataset.get("NumberOfFrames") or 1), 1)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except BadFile:
        raise
    except InvalidDicomError as error:
        raise BadFile("not a DICOM file: the mark 'DICM' after the first 128 bytes is missing", path) from error
    except OSError as error:
        if error.errno is not None:
            raise BadFile(f"cannot be read: {error.strerror}", path) from error
        raise BadFile(f"damaged or truncated: {error}", path) from error  # Pillow's way to say so
    except Exception as error:  # pydicom raises nearly anything on damaged input; none of it may end the work
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadFile(f"damaged, truncated or not supported: {text.rstrip('.')}", path) from error


def _check(path: Path, dataset: Dataset, frame: int | None) -> None:
    """Refuse what are no pictures of 8 to 16 bits, before memory is taken for them; of a frame the header is known."""
    if frame is None and "PixelData" not in dataset:
        kind = "floating-point values" if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset else "none"
        raise BadFile(f"holds no picture (pixel data: {kind}), or was cut off before it", path)
    width, height = int(dataset.Columns), int(dataset.Rows)
    if not 0 < width * height <= MAX_PIXELS:
        raise BadFile(f"a picture of {width} x {height} pixels; expected at most {MAX_PIXELS / 1e6:.0f} million", path)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frame is None and frames != 1:
        raise BadFile(f"holds {frames} pictures, expected one", path)
    bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
    if bits not in (8, 16) or samples not in (1, 3):
        raise BadFile(f"has {samples} channel(s) of {bits} bits, expected 1 or 3 of 8 or 16", path)
    expected = width * height * samples * bits // 8
    compressed = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian).is_compressed
    halved = dataset.PhotometricInterpretation == "YBR_FULL_422"  # stores fewer bytes
    if compressed:
        _check_decoder(path, dataset.file_meta.TransferSyntaxUID)
    if compressed or halved:
        return
    if frame is not None:
        if (held := path.stat().st_size) < expected * frames:
            raise BadFile(f"truncated: {held} bytes, its {frames} pictures have {expected * frames}", path)
    elif len(dataset.PixelData) < expected:
        raise BadFile(f"truncated: holds {len(dataset.PixelData)} of the {expected} bytes of its picture", path)


def _check_decoder(path: Path, syntax: UID) -> None:
    """Refuse a compression that nothing installed can read."""
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        advice = "install one: pip install 'medseg[dicom]'" if syntax in _OF_THE_EXTRA else "convert it to another one"
        raise BadFile(f"compressed as {syntax.name}, for which no decoder is installed; {advice}", path)


def _is_ybr_despite_its_header(path: Path, dataset: Dataset) -> bool:
    """Whether the first JPEG stream has subsampled chroma where the header says RGB, which would give wrong colours."""
    syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    if syntax not in _LOSSY_JPEG or dataset.PhotometricInterpretation != "RGB":
        return False
    header = jpeg_header.read(_first_stream(path))
    return header is not None and header.surely_ybr


def _first_stream(path: Path) -> bytes:
    """The beginning of the first compressed picture: after the table of offsets, whose items begin with a length."""
    with path.open("rb") as file:
        pydicom.dcmread(file, stop_before_pixels=True)  # leaves the file where the pixel data begin
        file.seek(12, os.SEEK_CUR)  # their tag, VR and length
        file.seek(int.from_bytes(file.read(8)[4:], "little"), os.SEEK_CUR)
        file.seek(8, os.SEEK_CUR)
        return file.read(_HEADER)


def _to_rgb(path: Path, dataset: Dataset, pixels: np.ndarray) -> np.ndarray:
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        pixels = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = _to_8_bits(pixels, dataset)
    if pixels.ndim == 2:
        pixels = np.repeat((255 - pixels if photometric == "MONOCHROME1" else pixels)[..., None], 3, axis=2)
    if pixels.shape != (int(dataset.Rows), int(dataset.Columns), 3):
        raise BadFile(f"gives an array of shape {pixels.shape}, expected one colour picture", path)
    return np.ascontiguousarray(pixels)


def _to_8_bits(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    bits = int(dataset.BitsStored)
    low = -(2 ** (bits - 1)) if np.issubdtype(pixels.dtype, np.signedinteger) else 0
    high = low + 2**bits - 1
    if pixels.ndim == 2 and ("WindowCenter" in dataset or "VOILUTSequence" in dataset):
        stored, pixels = pixels.dtype, apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
        if "VOILUTSequence" in dataset:
            low, high = 0, max(int(pixels.max()), 1)
        else:  # a window's output spans the values that the stored bits can hold, rescaled
            low, high = apply_modality_lut(np.array([low, high], stored), dataset).tolist()
    scaled = (pixels.astype(np.float32) - low) * (255 / max(high - low, 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
