"""The pictures of a dataset, shrunk once to the size that training needs and shared by every process that needs them.

A picture is fitted into a square; see :func:`medseg.datasets.augmentation.warp.fit_picture`.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from medseg import atomic, project
from medseg.datasets.augmentation.warp import fit_picture
from medseg.datasets.frames import read_grey
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FORMAT = 1  # to be raised when the same dataset and size would give other pixels


class PictureCache:
    """Every picture of a grey dataset as a square of side ``size`` (pixels), in one file mapped into memory.

    The file (``path``) is made by the first process that asks for it, under a lock, in the folder ``.cache`` of the
    dataset, or in the system's temporary folder where the dataset cannot be written. It has its name only when it is
    whole. Its name carries the dataset's fingerprint: another dataset in the same place never gets these pictures.

    A cache is cheap to send to another process, which maps the same file. Raises MedsegError: a picture cannot be read,
    or the disk refused.
    """

    def __init__(self, dataset: PreparedDataset, size: int) -> None:
        if size < 1:
            raise ValueError(f"the size must be positive, got {size}")
        self.size = size
        self._shape = (len(dataset.index), size, size)
        self._positions = {name: position for position, name in enumerate(dataset.index["image"])}
        name = f"pictures-{_FORMAT}-{dataset.fingerprint[:16]}-{size}.npy"
        folders = [dataset.folder / ".cache", _own_temporary_folder()]
        whole = (folder / name for folder in folders if _mapped(folder / name, self._shape) is not None)
        self.path = next(whole, None) or self._build(dataset, name, folders)
        self._open()

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, image: str) -> np.ndarray:
        """Picture of an entry of the column ``image``: uint8 (size, size), read-only, straight from the file."""
        return self._pictures[self._positions[image]]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pictures"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def _open(self) -> None:
        mapped = _mapped(self.path, self._shape)
        if mapped is None:
            raise MedsegError(
                f"The picture cache {project.display(self.path)} is gone: the dataset was prepared anew, or the file "
                "removed, while it was in use. Start again; the cache is made anew."
            )
        self._pictures = mapped

    def _build(self, dataset: PreparedDataset, name: str, folders: list[Path]) -> Path:
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700 if folder is folders[-1] else 0o777)
                lock = FileLock(folder / f"{name}.lock").acquire()
            except OSError as error:
                if error.errno in _REFUSED and folder is not folders[-1]:
                    continue
                raise MedsegError(
                    f"The pictures cannot be kept in {project.display(folder)}: {error.strerror or error}. "
                    "Make the dataset's folder or the system's temporary folder (TMPDIR) writable."
                ) from error
            with lock:
                path = folder / name
                if _mapped(path, self._shape) is None:  # else another process made it while this one waited
                    _write(path, self._shape, _fitted_pictures(dataset, self.size))
                return path
        raise AssertionError("the last folder is used or refused")


def _write(path: Path, shape: tuple[int, ...], pictures: Iterator[np.ndarray]) -> None:
    """Write the array under another name, over what a killed process left there, then rename."""
    # Written, not mapped: on a full disk writing fails, while touching a mapped page kills the process.
    with atomic.replacing_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for picture in pictures:
            file.write(picture.data)
        file.flush()
        os.fsync(file.fileno())


def _fitted_pictures(dataset: PreparedDataset, size: int) -> Iterator[np.ndarray]:
    """The pictures in the order of the index; decoding runs in threads, a few pictures ahead of the writing."""

    def fitted(image: str) -> np.ndarray:
        return np.ascontiguousarray(fit_picture(read_grey(dataset.path(image)), size))

    names, workers = list(dataset.index["image"]), min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(names), 4 * workers):  # by portions, so that not all pictures are held at once
            yield from pool.map(fitted, names[start : start + 4 * workers])


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The pictures in a file, or None where it is missing or is not what it should be."""
    try:
        mapped = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return None
    # A plain array over the same memory: slicing numpy's own class for mapped files costs several times more.
    return mapped.view(np.ndarray) if mapped.shape == shape and mapped.dtype == np.uint8 else None


def _own_temporary_folder() -> Path:
    """A folder of this user alone, so that nobody else can put pictures there."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"medseg-{user}"
    if folder.exists() and hasattr(os, "getuid") and folder.stat().st_uid != user:
        raise MedsegError(f"{folder} belongs to another user. Remove it, or set TMPDIR to a folder of your own.")
    return folder
