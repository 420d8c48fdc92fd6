"""Whether checkpoints are whole, whichever framework wrote them; and what becomes of a run where one is not.

The rule: a score is that of the epoch that was chosen, or there is none. No other weights take the place of a damaged
best checkpoint, and no training goes on from weights without their optimizer: it begins anew and its record says so.

The checkpoint that training goes on from, ``last``, holds the optimizer too and is some three times as large as the
best one. It is written when it is due, see :class:`Due`, and goes when the training is finished. So do those of further
good epochs; the weights that stay may be halved in precision.
"""

import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_ARCHIVES = (".ckpt", ".npz")  # what torch.save and numpy.savez write: ZIP, every entry with its CRC-32
_HDF5 = ".h5"
#: Precision in which weights are trained and, unless asked otherwise, kept.
FULL = "fp32"


class Due:
    """When ``last`` is to be written, by the parameter ``checkpoint_minutes`` of a training; left out: every epoch.

    Always with a new best checkpoint and at the end: after a kill no checkpoint is of an epoch that is still to come.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._seconds = 60 * parameters.get("checkpoint_minutes", 0.0)
        self._written = time.monotonic()

    def now(self, *, improved: bool, ended: bool) -> bool:
        """Whether it is now, at the end of an epoch that was ``improved`` on the best, or with which training ended."""
        return improved or ended or time.monotonic() - self._written >= self._seconds

    def written(self) -> None:
        """Say that it was written."""
        self._written = time.monotonic()


def keeps_last(parameters: Mapping[str, Any]) -> bool:
    """Whether ``last`` stays when the training is finished, by the parameter ``keep_last``; left out: it does."""
    return parameters.get("keep_last", True)


def drop_last(folder: Path) -> None:
    """Remove the checkpoint from which a training, now finished, would go on, and those of epochs beside the best."""
    for kind in _ARCHIVES:
        for path in (folder / f"last{kind}", *folder.glob(f"epoch-*{kind}")):
            path.unlink(missing_ok=True)


def lower_precision(folder: Path, parameters: Mapping[str, Any], lower: Callable[[Path, str], None]) -> None:
    """Write the weights that stay of a training in its parameter ``checkpoint_precision``; left out: as trained.

    ``lower`` does it for one file; it does nothing to what is in that precision already.
    """
    precision = parameters.get("checkpoint_precision", FULL)
    if precision == FULL:
        return
    for path in sorted(folder.glob("*")):
        if path.suffix in (*_ARCHIVES, _HDF5) and path.stem != "last":
            lower(path, precision)


def halved(array: np.ndarray) -> np.ndarray:
    """A kernel, of two dimensions or more, as float16, unless a value is beyond its range; other arrays as they are.

    Biases and the statistics of normalisation are few, and small values count in them.
    """
    kernel = array.ndim > 1 and array.dtype in (np.float32, np.float64)
    return array.astype(np.float16) if kernel and np.abs(array).max(initial=0) <= np.finfo(np.float16).max else array


def fault(path: Path) -> str:
    """Why a checkpoint is not whole, empty where it is; the file is read once.

    Of HDF5, which has no checksums, only whether it has its length. Files of other kinds are not looked at.
    """
    try:
        if path.suffix in _ARCHIVES:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            return f"its entry {damaged} is not what was written" if damaged else ""
        return _fault_of_hdf5(path) if path.suffix == _HDF5 else ""
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return f"{path.stat().st_size} bytes are left of it: {error}" if path.is_file() else "it is gone"


def fault_in(folder: Path, beginning: str = "") -> str:
    """The first of a run's checkpoints that is not whole, and why; empty where all are.

    ``beginning`` is that of the names that are looked at.
    """
    faults = ((path, fault(path)) for path in sorted(folder.glob(f"{beginning}*")) if path.name[0] != ".")
    return next((f"{path.name} is damaged ({found})" for path, found in faults if found), "")


def forget(folder: Path) -> None:
    """Remove the checkpoints of a run, so that its training begins anew."""
    for path in folder.glob("*"):
        if path.suffix in (*_ARCHIVES, _HDF5):
            path.unlink()


def _fault_of_hdf5(path: Path) -> str:
    # The superblock says where the file ends: HDF5 File Format Specification 3.0, section II.A.
    with path.open("rb") as stream:
        start = stream.read(64)
    if start[:8] != b"\x89HDF\r\n\x1a\n" or len(start) < 64:
        return "it does not begin as HDF5 does"
    place = {0: 40, 1: 44}.get(start[8], 28)  # addresses of 8 bytes, as h5py writes them
    (expected,) = struct.unpack_from("<Q", start, place)
    size = path.stat().st_size
    return f"{size} of {expected} bytes are left" if size < expected else ""
