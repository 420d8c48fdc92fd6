"""Pretrained weights for networks in Keras: which local file is meant, and what to say where they are no good."""

from collections.abc import Sequence
from pathlib import Path

from medseg import downloads
from medseg.errors import MedsegError
from medseg.project import display, resolve


def local_file(parameter: str, value: str, choices: Sequence[str], suffixes: Sequence[str]) -> Path | None:
    """The local file that a parameter names, None where it is one of ``choices``.

    Args:
        parameter: its name, for the message.
        value: a choice, or a path with one of ``suffixes``; a relative one is meant from the project root.

    Raises:
        MedsegError: it is neither, or there is no such file.
    """
    if value in choices:
        return None
    file = resolve(value)
    if file.suffix not in suffixes or not file.is_file():
        kind = "HDF5" if len(suffixes) > 1 else suffixes[0]
        raise MedsegError(
            f"{parameter} is {value!r}, which is neither {' nor '.join(map(repr, choices))} nor a {kind} file: there "
            f"is none at {display(file)}."
        )
    return file


def refusal(file: Path | None, network: str, error: Exception, parameter: str) -> MedsegError:
    """What to tell a person when a network could not be built with the weights in ``file``, or (None) ImageNet's."""
    reason = downloads.told(error)
    if file is None:
        return downloads.unavailable(f"ImageNet weights for {network}", reason, parameter=parameter)
    return MedsegError(
        f"The weights in {display(file)} do not fit {network} ({reason}). Give the weights of this very network, as "
        f"Keras saves them without its classifier, or set {parameter} to 'none'."
    )
