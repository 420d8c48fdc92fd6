"""Which question a run answers: the part of its parameters that counts, and the id that follows from it."""

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg import project

#: Parameters that say where and on what a run is computed and what of it is kept, not which question it answers. The
#: data's fingerprint stands for ``data``.
NOT_PART_OF_THE_QUESTION = frozenset({"data", "device", "workers", "logger", "checkpoint_minutes", "keep_last"})
#: Parameters that came when there were runs already, with the values that mean what was done before: with these they
#: are not part of the question, so that finished runs keep their ids.
AS_BEFORE: Mapping[str, Any] = {
    "max_minutes": 0, "max_steps": 0, "fold": -1, "optimizer": "adam", "warmup_epochs": 0, "part_rates": [],
    "freeze_encoder_epochs": 0, "gradient_clip": 0, "ema": 0, "label_smoothing": 0, "multiscale": [],
    "deterministic": False, "devices": 1, "deep_supervision": [], "checkpoint_precision": "fp32",
}  # fmt: skip
#: The same for single notebooks, by a parameter that only this one has; None: it was there from the start.
_AS_BEFORE_OF: Mapping[str, Mapping[str, Any]] = {
    "feeding": {"restart_epochs": 10, "restart_factor": 1},
    "vit_weights": {"optimizer": "sgd(momentum=0.9)", "schedule": "cosine", "devices": None},
}
#: Parameters that a run id shows.
IN_SLUG = ("architecture", "size", "variant", "backbone", "resolution", "seed")
#: Parameters that name pretrained weights, which may be a file.
WEIGHTS = ("weights", "resnet_weights", "vit_weights")


def question(parameters: Mapping[str, Any], files: Mapping[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """The part of ``parameters`` that decides what is trained and scored; a file of weights counts by its content.

    ``files`` are as :func:`weights_files` found them when the run was made; None: as they are now.
    """
    files = weights_files(parameters) if files is None else files
    before = as_before(parameters)
    asked = {
        name: value
        for name, value in parameters.items()
        if name not in NOT_PART_OF_THE_QUESTION and not (name in before and value == before[name])
    }
    return {**asked, **{name: f"sha256 {digest}" for name, (_, digest) in files.items()}}


def as_before(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that came later to the notebook that has these ``parameters``, and what they were before."""
    before = dict(AS_BEFORE)
    for own, values in _AS_BEFORE_OF.items():
        if own in parameters:
            before |= values
    return {name: value for name, value in before.items() if value is not None}


def without_effect(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Names of those ``parameters`` that change nothing beside the others: a reader need not know their values."""
    architecture, schedule = parameters.get("architecture"), parameters.get("schedule")
    idle = {
        "parts": architecture != "unet",
        "width": architecture not in ("unet", "dilated-resnet-unet"),
        "restart_epochs": schedule not in ("cosine", "step"),
        "restart_factor": schedule != "cosine",
        "patience": parameters.get("patience", 0) >= parameters.get("max_epochs", float("inf")),
    }
    return frozenset(name for name, idles in idle.items() if idles and name in parameters)


def run_id(
    study: str,
    stage: str,
    parameters: Mapping[str, Any],
    fingerprint: str,
    files: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """Readable slug + 8 hex digits of sha256(study, stage, question, dataset fingerprint); see :func:`question`."""
    asked = question(parameters, files)
    text = json.dumps([study, stage, asked, fingerprint], sort_keys=True, ensure_ascii=False)
    words = [f"s{asked[k]}" if k == "seed" else str(asked[k]) for k in IN_SLUG if k in asked]
    slug = re.sub(r"[^a-z0-9.]+", "-", "-".join(w for w in words if w not in ("", "none")).lower()).strip("-.")
    return f"{slug or 'run'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def fold_of(record: Mapping[str, Any]) -> int | None:
    """The fold that a run held out, from its record; None where it took the split as it was prepared."""
    fold = record.get("parameters", {}).get("fold", AS_BEFORE["fold"])
    return None if fold == AS_BEFORE["fold"] else fold


def weights_files(parameters: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The parameters that name a local file of weights: for each the file's name and the sha256 of its content."""
    found = {}
    for name in WEIGHTS:
        value = parameters.get(name)
        if isinstance(value, str) and Path(value).suffix and (file := project.resolve(value)).is_file():
            stat = file.stat()
            found[name] = file.name, _sha256(file, stat.st_size, stat.st_mtime_ns)
    return found


def readable_weights(record: Mapping[str, Any]) -> dict[str, str]:
    """What a person reads instead of the path of a file of weights: its name and the first digits of its sha256."""
    described = {name: f"{file} ({digest[:8]})" for name, (file, digest) in record.get("weights_files", {}).items()}
    parameters = record.get("parameters", {})
    plain = {name: Path(parameters[name]).name for name in WEIGHTS if Path(str(parameters.get(name, ""))).suffix}
    return {**plain, **described}


@functools.lru_cache(maxsize=64)
def _sha256(file: Path, size: int, modified: int) -> str:
    """Of the file as it is at this size and time: a sweep asks for the same one for every run."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
