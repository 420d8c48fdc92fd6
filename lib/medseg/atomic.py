"""Writing that leaves either the old state or the new one, never half of either."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from medseg import project
from medseg.errors import MedsegError


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write ``target`` into one message that says what to do."""
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "The disk is full. Free some space and run the same command again",
            errno.EDQUOT: "Your disk quota is used up. Free some space and run the same command again",
            errno.EFBIG: "The file is larger than this system allows. Raise the limit and run the same command again",
            errno.EROFS: "The file system is read-only. Choose another output folder",
            errno.EACCES: "You may not write there. Choose another output folder or fix its permissions",
            errno.EPERM: "You may not write there. Choose another output folder or fix its permissions",
        }.get(error.errno or 0)
        if advice is None:
            raise
        raise MedsegError(
            f"Could not write {project.display(target)}: {error.strerror or error}. {advice}. "
            "What was there before is unchanged."
        ) from error


@contextmanager
def holding(lock: BaseFileLock, message: str) -> Iterator[None]:
    """Hold ``lock``; ``message`` is the :class:`MedsegError` where another process does."""
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise MedsegError(message) from None
    with held:
        yield


@contextmanager
def _replacing(path: Path, temporary: Path) -> Iterator[Path]:
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write ``data`` under a temporary name beside ``path``, then rename.

    A :class:`MedsegError` where the disk is full, read-only or closed to this user; ``path`` is as it was.
    """
    with _replacing(path, path.with_name(f".{path.name}.{os.getpid()}.partial")) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """As :func:`write_bytes`, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """As :func:`write_text`; readable JSON. NaN and infinity are refused: JSON has no name for them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def replacing_file(path: Path) -> AbstractContextManager[Path]:
    """Yield a name beside ``path``, with the same ending, for what takes its place when the block ends well.

    For libraries that write files by name. Only one process at a time may replace the same file. Raises what
    :func:`write_bytes` does.
    """
    return _replacing(path, path.with_name(f".{path.stem}.partial{path.suffix}"))


def link(source: Path, target: Path) -> None:
    """Give a file a second name, ``target``; a copy where the disk cannot do that. Raises as :func:`write_bytes`."""
    with replacing_file(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``target`` when the block ends well.

    A block that fails, or a process that is killed, leaves ``target`` as it was; what a killed process left behind is
    removed by the next one. A :class:`MedsegError` where another process is replacing ``target``, or it cannot be
    written.
    """
    message = f"Another process is writing {project.display(target)} right now. Wait for it, or end it."
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with holding(FileLock(target.parent / f".{target.name}.lock"), message):
            retired = target.parent / f".{target.name}.retired"
            if retired.exists() and not target.exists():  # killed between the two renames below
                retired.rename(target)
            for stale in (*target.parent.glob(f".{target.name}.*.partial"), retired):
                shutil.rmtree(stale, ignore_errors=True)
            draft = target.parent / f".{target.name}.{os.getpid()}.partial"
            draft.mkdir()
            try:
                yield draft
                if target.exists():
                    target.rename(retired)
                draft.rename(target)
                shutil.rmtree(retired, ignore_errors=True)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
