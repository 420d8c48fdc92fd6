"""The built-in sample data: drawn and prepared on first use, so that everything runs from a fresh clone."""

import pkgutil
from pathlib import Path

from filelock import FileLock

from medseg import project, registry
from medseg.datasets import index
from medseg.errors import MedsegError


def folder(study: str) -> Path:
    """Prepared sample data of a study: ``data/sample/STUDY``."""
    return project.root() / "data" / "sample" / study


def raw_folder(study: str) -> Path:
    """Raw sample data of a study in its public layout: ``data/sample/raw/STUDY``."""
    return folder("raw") / study


def ensure_raw(study: str) -> Path:
    """Draw the raw sample of ``study`` where it is not there yet; returns its folder.

    Raises MedsegError: no such study, or it has no sample.
    """
    draw = registry.find(study).sample
    if not draw:
        with_sample = ", ".join(one.name for one in registry.every() if one.sample)
        raise MedsegError(f"There is no sample data for {study!r}. There is for: {with_sample}.")
    with _lock(study):
        return pkgutil.resolve_name(draw)(raw_folder(study))


def ensure(study: str) -> Path:
    """Draw and prepare the sample of ``study`` where it is not there yet; returns the prepared folder."""
    raw = ensure_raw(study)
    with _lock(study):
        if not (folder(study) / "dataset.json").is_file():
            pkgutil.resolve_name(registry.find(study).prepare)(raw, folder(study))
    return folder(study)


def load(path: str | Path) -> index.PreparedDataset:
    """As :func:`medseg.datasets.index.load`; the sample's folder is filled first if need be."""
    wanted = project.resolve(path)
    for study in registry.names():
        if wanted == folder(study) and not (wanted / "dataset.json").is_file():
            ensure(study)
    return index.load(wanted)


def _lock(study: str) -> FileLock:
    """Waits while another process draws the same sample."""
    folder("raw").mkdir(parents=True, exist_ok=True)
    return FileLock(folder("raw") / f".{study}.sample.lock")
