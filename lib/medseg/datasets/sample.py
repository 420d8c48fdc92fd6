"""The built-in sample data: drawn and prepared on first use, so that everything runs from a fresh clone."""

import importlib
from pathlib import Path

from filelock import FileLock

from medseg import project
from medseg.datasets import index
from medseg.errors import MedsegError

#: For each study the module and function that draw its raw sample into a folder, and the module whose ``prepare``
#: makes a prepared dataset of it. Imported on use: drawing needs more than loading does.
_MAKERS = {
    "polyp": ("phantoms.polyp.sample", "write_polyp_sample", "medseg.studies.polyp.prepare"),
    "handbone": ("phantoms.handbone.sample", "write_hand_sample", "medseg.studies.handbone.prepare"),
    "gastric": ("phantoms.gastric.sample", "write_gastric_sample", "medseg.studies.gastric.prepare"),
}
STUDIES = tuple(_MAKERS)


def folder(study: str) -> Path:
    """Prepared sample data of a study: ``data/sample/STUDY``."""
    return project.root() / "data" / "sample" / study


def raw_folder(study: str) -> Path:
    """Raw sample data of a study in its public layout: ``data/sample/raw/STUDY``."""
    return folder("raw") / study


def ensure_raw(study: str) -> Path:
    """Draw the raw sample of ``study`` where it is not there yet; returns its folder."""
    if study not in STUDIES:
        raise MedsegError(f"There is no sample data for {study!r}. There is for: {', '.join(STUDIES)}.")
    module, draw, _ = _MAKERS[study]
    with _lock(study):
        return getattr(importlib.import_module(module), draw)(raw_folder(study))


def ensure(study: str) -> Path:
    """Draw and prepare the sample of ``study`` where it is not there yet; returns the prepared folder."""
    raw = ensure_raw(study)
    with _lock(study):
        if not (folder(study) / "dataset.json").is_file():
            importlib.import_module(_MAKERS[study][2]).prepare(raw, folder(study))
    return folder(study)


def load(path: str | Path) -> index.PreparedDataset:
    """As :func:`medseg.datasets.index.load`; the sample's folder is filled first if need be."""
    wanted = project.resolve(path)
    for study in STUDIES:
        if wanted == folder(study) and not (wanted / "dataset.json").is_file():
            ensure(study)
    return index.load(wanted)


def _lock(study: str) -> FileLock:
    """Waits while another process draws the same sample."""
    folder("raw").mkdir(parents=True, exist_ok=True)
    return FileLock(folder("raw") / f".{study}.sample.lock")
