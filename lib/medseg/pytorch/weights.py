"""Pretrained weights of encoders: from a hub or a file, never half and never silently random, or else MedsegError."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from huggingface_hub import constants, hf_hub_download
from safetensors.torch import load_file
from torch import Tensor, nn

from medseg import downloads
from medseg.errors import MedsegError
from medseg.experiments import checkpoints, outcome
from medseg.experiments.runs import Run, all_runs
from medseg.project import display, resolve
from medseg.pytorch import offline
from medseg.pytorch.backbones import Normalisation, from_preprocessing, normalisation_of

BEST = "best"
#: How weights of a run are asked for: ``run:ID``.
RUN = "run:"

# First parts of the state-dict keys of ImageNet classifiers, which encoders do without.
_CLASSIFIERS = ("fc.", "_fc.", "classifier.", "last_linear.", "linear.", "head.")


@dataclass(frozen=True)
class Weights:
    """A state dict and a label that says what it is, for the record of a run."""

    state_dict: Mapping[str, Tensor]
    label: str


def from_file(path: str | Path, backbone: str, tags: Sequence[str]) -> Weights:
    """A state dict from ``path``: ``.safetensors``, or else what ``torch.save`` wrote, read with ``weights_only``.

    A relative path is meant from the project root. ``tags`` are what else could have been asked for. A
    :class:`MedsegError` where there is no such file, or it holds something other than named tensors.
    """
    file = resolve(path)
    if not file.is_file():
        raise MedsegError(
            f"Weights '{path}' for '{backbone}' are neither 'none', nor what the hub has for it "
            f"({', '.join(tags)}), nor a file: there is none at {display(file)}."
        )
    try:
        if file.suffix == ".safetensors":
            state_dict = load_file(file)
        else:
            state_dict = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise MedsegError(
            f"Weights file {display(file)} cannot be read ({type(error).__name__}: {_shortened(error)}). Expected a "
            "state dict saved by torch.save, or a .safetensors file."
        ) from error
    if not (isinstance(state_dict, dict) and all(isinstance(value, Tensor) for value in state_dict.values())):
        found = f"the keys {list(state_dict)[:5]}" if isinstance(state_dict, dict) else f"a {type(state_dict).__name__}"
        raise MedsegError(
            f"Weights file {display(file)} holds {found}, not a plain state dict of named tensors. Save that of the "
            "encoder alone: torch.save(encoder.state_dict(), file)."
        )
    return Weights(state_dict, f"file {downloads.named(file)}")


def named_run(weights: str) -> Run | None:
    """The finished run that ``weights`` names as ``run:ID``, of whatever study; None for weights of another kind.

    Raises MedsegError: there is no such run, or more than one, or it is not finished.
    """
    if not weights.startswith(RUN):
        return None
    wanted = weights.removeprefix(RUN)
    found = [run for run in all_runs() if run.id == wanted or run.id.endswith(wanted)] if wanted else []
    if len(found) != 1:
        known = ", ".join(run.id for run in (found or all_runs())[:8]) or "none yet"
        raise MedsegError(f"{len(found)} runs match the weights '{weights}'. Give a whole run id; there are: {known}.")
    if found[0].fault:
        raise MedsegError(f"The run {found[0].id}, which weights names, cannot be used: {found[0].fault}")
    if not (found[0].checkpoints / "best.ckpt").is_file():
        raise MedsegError(f"The run {found[0].id}, which weights names, has no best.ckpt of PyTorch: train it first.")
    if fault := checkpoints.fault(found[0].checkpoints / "best.ckpt"):
        raise outcome.unusable(found[0].checkpoints / "best.ckpt", fault)
    return found[0]


def from_run(run: Run, network: nn.Module) -> str:
    """Start ``network`` from the best checkpoint of ``run``, whose classes may be others; gives a label.

    What differs in shape stays as it is, and the label says how much that is. Raises MedsegError: the checkpoint cannot
    be read, or less than half of the weights fit.
    """
    saved, own = trained_weights(run), network.state_dict()
    fitting = {key: value for key, value in saved.items() if key in own and own[key].shape == value.shape}
    total = sum(value.numel() for value in own.values())
    share = sum(value.numel() for value in fitting.values()) / max(1, total)
    if share < 0.5:
        asked = run.record.get("parameters", {})
        raise MedsegError(
            f"Only {share:.0%} of the weights of the run {run.id} ({asked.get('architecture')} on "
            f"{asked.get('backbone')}) fit this network. Start from a run of the same architecture and backbone."
        )
    network.load_state_dict({**own, **fitting})
    rest = sorted({".".join(key.split(".")[:2]) for key in own if key not in fitting})
    return f"run {run.id}" + (f", but for {', '.join(rest)}" if rest else "")


def checkpoint_file(run: Run, checkpoint: str = BEST) -> Path:
    """The file of a checkpoint of a run: ``best``, ``last``, the name of another in its folder, or any path."""
    inside = run.checkpoints / (checkpoint if checkpoint.endswith(".ckpt") else f"{checkpoint}.ckpt")
    return inside if inside.is_file() or checkpoint in (BEST, "last") else resolve(checkpoint)


def trained_weights(run: Run, checkpoint: str = BEST) -> dict[str, Tensor]:
    """State dict of the network in a checkpoint of a run: the mean of the weights where one was kept.

    Raises MedsegError: the checkpoint is missing or cannot be read.
    """
    path = checkpoint_file(run, checkpoint)
    if not path.is_file() and checkpoint not in (BEST, "last"):
        there = ", ".join(sorted(file.name for file in run.checkpoints.glob("*.ckpt"))) or "none"
        raise MedsegError(f"There is no checkpoint {checkpoint!r} of the run {run.id}. There are: {there}.")
    if not path.is_file() and checkpoint == "last" and run.record.get("status") == "finished":
        raise MedsegError(
            f"The run {run.id} has no last checkpoint any more: it goes when a training is finished, unless keep_last "
            "is true. Take best, or train it with keep_last=true."
        )
    if fault := checkpoints.fault(path):  # torch itself does not look at checksums
        raise outcome.unusable(path, fault)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except Exception as error:
        raise outcome.unusable(path, error) from error
    mean = "average.module."
    prefix = mean if any(key.startswith(mean) for key in saved) else "network."
    return {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)}


def at_hand(backbone: str) -> tuple[Weights, Normalisation] | None:
    """ImageNet weights of ``backbone`` that need no hub, of the folder ``MEDSEG_WEIGHTS`` or a package; or None."""
    if own := offline.in_folder(backbone):
        return from_file(own, backbone, ["imagenet"]), normalisation_of(backbone)
    if found := offline.packaged(backbone):
        return Weights(*found[:2]), found[2]
    return None


def from_torchvision(backbone: str) -> Weights:
    """torchvision's first ImageNet weights for ``backbone``, those that most published work started from."""
    url = torchvision.models.get_model_weights(backbone)["IMAGENET1K_V1"].url
    if own := offline.in_folder(backbone, url.rpartition("/")[2]):
        return from_file(own, backbone, ["imagenet"])
    cached = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    with _download(f"ImageNet weights for '{backbone}'", "PyTorch's download server", url) as reachable:
        if not (reachable or cached.is_file()):
            raise ConnectionError
        state_dict = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    return Weights(state_dict, "imagenet (torchvision, IMAGENET1K_V1)")


def from_smp(encoder: str, tag: str) -> tuple[Weights, Normalisation]:
    """smp's weights ``tag`` (mostly "imagenet") for ``encoder``, and the normalisation that belongs to them."""
    settings = smp.encoders.encoders[encoder]["pretrained_settings"][tag]
    with _download(f"Weights '{tag}' for '{encoder}'", "the Hugging Face hub", constants.ENDPOINT):
        file = hf_hub_download(settings["repo_id"], "model.safetensors", revision=settings["revision"])
        parameters = smp.encoders.get_preprocessing_params(encoder, tag)
    label = f"{tag} (smp hub, {settings['repo_id']} at {settings['revision'][:8]})"
    return Weights(load_file(file), label), from_preprocessing(encoder, parameters)


def from_timm(name: str) -> Weights:
    """timm's weights for ``name``: those of the tag in the name, or its default."""
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise MedsegError(
            f"There are no weights for 'tu-{name}' on the Hugging Face hub. Set weights to the path of a file with "
            "them, or to 'none' to train from random weights."
        )
    with _download(f"Weights for 'tu-{name}'", "the Hugging Face hub", constants.ENDPOINT):
        filename = config.hf_hub_filename or "pytorch_model.bin"  # for which timm prefers its safetensors twin
        state_dict = timm.models.load_state_dict_from_hf(config.hf_hub_id, filename, weights_only=True)
    return Weights(state_dict, f"pretrained (timm hub, {config.hf_hub_id})")


def timm_keys(name: str) -> set[str]:
    """State-dict keys of timm's whole network ``name``, of which an encoder has only some."""
    with torch.device("meta"):
        return set(timm.create_model(name).state_dict())


def adopt(encoder: nn.Module, weights: Weights, backbone: str, dispensable: Collection[str] = ()) -> None:
    """Load ``weights`` into ``encoder``: every key and shape must fit, but for the classifier's.

    timm's encoders say ``stages_0`` where a file says ``stages.0``, and put ``model.`` in front: both are seen through.
    Keys in ``dispensable`` may be left over. A :class:`MedsegError` names keys that are missing or unexpected, and
    other shapes.
    """
    own = {_plain(key): key for key in encoder.state_dict()}
    droppable = {_plain(key) for key in dispensable}
    fitting = {
        own.get(_plain(key), key): tensor
        for key, tensor in weights.state_dict.items()
        if _plain(key) in own or not (_plain(key) in droppable or key.startswith(_CLASSIFIERS))
    }
    try:
        encoder.load_state_dict(fitting)
    except RuntimeError as error:
        raise MedsegError(
            f"The weights ({weights.label}) do not fit '{backbone}'. {_shortened(error)} Give the weights of this "
            "very backbone, or set weights to 'none'."
        ) from error


def _plain(key: str) -> str:
    while key.startswith("model."):
        key = key.removeprefix("model.")
    return key.replace(".", "_")


def _shortened(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()][:5]
    return " ".join(line if len(line) <= 240 else f"{line[:240]} ..." for line in lines)


@contextmanager
def _download(what: str, source: str, url: str) -> Iterator[bool]:
    """Around a download: fails in words, and within seconds if ``url`` does not answer. Gives whether it does.

    huggingface_hub would retry for half a minute; told that it is offline, it serves its cache or fails at once.
    """
    reachable, was_offline = downloads.answers(url), constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or not reachable
    try:
        yield reachable
    except Exception as error:  # each library beneath has its own exceptions for a failed download
        reason = f"{type(error).__name__}: {_shortened(error)}" if reachable else "it does not answer"
        raise downloads.unavailable(what, reason, source=source) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
