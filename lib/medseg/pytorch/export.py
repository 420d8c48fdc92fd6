"""A trained network as an ONNX graph that takes plain pictures."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg import registry
from medseg.experiments.runs import Run
from medseg.pytorch.inference import best_network
from medseg.pytorch.models import BuiltModel

_TALKATIVE = ("torch.onnx._internal.exporter._schemas", "onnxscript", "torch.export")
_MOST = 8192  # pixels a side, pictures a batch


class _FromPictures(nn.Module):
    """Logits and probabilities of pictures (B, H, W, 3 or 1) uint8: normalisation is part of it, padding is not."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: BuiltModel) -> None:
        super().__init__()
        self.network = model.network.network
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(model.normalisation, name)).view(1, 3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = pictures.permute(0, 3, 1, 2).float() / 255  # one channel against three makes three
        logits = self.network((scaled - self.mean) / self.std)
        return logits, logits.sigmoid()


def write_onnx(run: Run, path: Path) -> dict[str, Any]:
    """Write the best network of a finished run, in fp32, to ``path``; gives what is to be known of its sizes.

    These are ``multiple`` and ``least`` (pixels: what height and width must be multiples of, and be at least) and
    ``any_size`` (False: the graph takes the one size that the run was trained at). Raises what
    :func:`medseg.pytorch.inference.best_network` raises.
    """
    model, resolution, _ = best_network(run, "cpu")
    padded = model.network.eval().float()
    multiple, least = padded.stride, padded.minimum
    side = -(-max(resolution, least) // multiple) * multiple
    channels = 1 if registry.find(run.record["study"]).label == "overlapping" else 3
    example = torch.zeros((2, side, side, channels), dtype=torch.uint8)
    whole = _FromPictures(model).eval()
    batch = torch.export.Dim("batch", min=1, max=_MOST)
    first, last = -(-least // multiple), _MOST // multiple
    height, width = (torch.export.Dim(name, min=first, max=last) * multiple for name in ("rows", "columns"))
    any_size = padded.fixed_size is None
    if any_size:
        try:
            _write(whole, example, {0: batch, 1: height, 2: width}, path)
        except Exception:  # the exporter refuses what depends on a size with whatever exception comes to hand
            any_size = False
    if not any_size:
        _write(whole, example, {0: batch}, path)
        multiple = least = side
    return {"multiple": multiple, "least": least, "any_size": any_size}


def _write(whole: nn.Module, example: torch.Tensor, dynamic: dict[int, Any], path: Path) -> None:
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own parts, about one another
            program = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                dynamic_shapes={"pictures": dynamic},
                input_names=["pictures"],
                output_names=["logits", "probabilities"],
                external_data=False,
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert program is not None  # only the older exporter gives None
    program.save(str(path))
