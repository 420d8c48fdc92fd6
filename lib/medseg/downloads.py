"""Weights that come from somewhere else: fetched once, refused in one way, and named by their content."""

import contextlib
import hashlib
import io
import ssl
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from filelock import FileLock

from medseg.errors import MedsegError


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

    Two processes that want the same file do not fetch it both. ConnectionError: the file is not there, and nobody
    answers at ``url``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # else Keras would take a folder in /tmp instead
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not (path.is_file() or answers(url)):
            raise ConnectionError(f"{url} does not answer")
        with contextlib.redirect_stdout(io.StringIO()):  # a progress bar of many lines
            return Path(fetch())


def unavailable(what: str, reason: str, *, source: str = "", parameter: str = "weights") -> MedsegError:
    """The error for weights (``what``, for which a notebook's ``parameter`` asked) that are nowhere to be had."""
    origin = f" from {source}" if source else ""
    return MedsegError(
        f"{what} could not be had{origin} ({reason}), nor from the local cache. Connect this machine, or set "
        f"{parameter} to the path of a file with them, or to 'none' to train from random weights."
    )


def told(error: Exception) -> str:
    """An exception in one line of a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"


def named(file: Path) -> str:
    """Name and sha256 of a file, for the record of a run."""
    return f"{file.name} sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
