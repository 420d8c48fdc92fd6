"""Weights that come from somewhere else: fetched once, refused in one way, and named by their content.

Where no hub can be reached, a folder that the environment variable ``MEDSEG_WEIGHTS`` names is looked into first. A
file ``SHA256SUMS`` in it, as ``sha256sum`` writes it, is held to.
"""

import contextlib
import hashlib
import io
import os
import ssl
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from filelock import FileLock

from medseg.errors import MedsegError

FOLDER = "MEDSEG_WEIGHTS"


def answers(url: str) -> bool:
    """Whether somebody answers at ``url`` within five seconds, whatever the answer is."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5):
            return True
    except HTTPError:
        return True
    except (OSError, HTTPException) as error:
        # A certificate that Python does not trust may be trusted by the library that downloads.
        return isinstance(getattr(error, "reason", None), ssl.SSLError)


def fetched_once(path: Path, url: str, fetch: Callable[[], str]) -> Path:
    """``path``, a file in a cache; ``fetch`` downloads or checks it silently and returns where it lies.

    A file of its name in the folder ``MEDSEG_WEIGHTS`` is taken instead. Two processes that want the same file do not
    fetch it both. ConnectionError: the file is not there, and nobody answers at ``url``.
    """
    if own := provided(path.name):
        return own
    path.parent.mkdir(parents=True, exist_ok=True)  # else Keras would take a folder in /tmp instead
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not (path.is_file() or answers(url)):
            raise ConnectionError(f"{url} does not answer")
        with contextlib.redirect_stdout(io.StringIO()):  # a progress bar of many lines
            return Path(fetch())


def provided(*names: str) -> Path | None:
    """The first file of these names in the folder ``MEDSEG_WEIGHTS``; None where there is none, or no such variable.

    Raises MedsegError: the folder is not there, or its ``SHA256SUMS`` lists another sha256 for the file.
    """
    if not (folder := os.environ.get(FOLDER, "")):
        return None
    if not Path(folder).expanduser().is_dir():
        raise MedsegError(f"{FOLDER} names {folder}, which is no folder. Create it, or unset the variable.")
    for name in names:
        file = Path(folder).expanduser() / name
        if file.is_file():
            _check(file)
            return file
    return None


def sha256_of(file: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _check(file: Path) -> None:
    sums = file.with_name("SHA256SUMS")
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    listed = {line[66:].strip(): line[:64].lower() for line in lines}
    if file.name in listed and (found := sha256_of(file)) != listed[file.name]:
        raise MedsegError(
            f"{file.name} in {FOLDER} has sha256 {found[:12]}, SHA256SUMS says {listed[file.name][:12]}. Copy it again."
        )


def unavailable(what: str, reason: str, *, source: str = "", parameter: str = "weights") -> MedsegError:
    """The error for weights (``what``, for which a notebook's ``parameter`` asked) that are nowhere to be had."""
    origin = f" from {source}" if source else ""
    return MedsegError(
        f"{what} could not be had{origin} ({reason}), nor from the local cache. Connect this machine, or set "
        f"{parameter} to the path of a file with them, or to 'none' to train from random weights; docs/weights.md "
        f"says how to work without a hub (the folder {FOLDER})."
    )


def told(error: Exception) -> str:
    """An exception in one line of a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"


def named(file: Path) -> str:
    """Name and sha256 of a file, for the record of a run."""
    return f"{file.name} sha256 {sha256_of(file)}"
