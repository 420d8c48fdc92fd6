"""A trained network as a file that takes plain pictures: an ONNX graph, or a program of ``torch.export``."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg import registry
from medseg.experiments.runs import Run
from medseg.pytorch.inference import best_network
from medseg.pytorch.models import BuiltModel

_TALKATIVE = ("torch.onnx._internal.exporter._schemas", "onnxscript", "torch.export")
#: Name of the metadata within a program.
METADATA = "medseg.json"
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
    program, sizes = _traced(run, _to_onnx)
    program.save(str(path))
    return sizes


def write_own(run: Run, path: Path, describe: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """As :func:`write_onnx`, a program of ``torch.export`` (.pt2) with what ``describe`` says of the sizes inside.

    It takes pictures (B, H, W, 3 or 1) uint8 and gives logits and probabilities (B, C, H, W) float32.
    """
    program, sizes = _traced(run, _to_program)
    if sizes["any_size"]:  # of some networks torch.export asks that a side be not 1 multiple
        sizes["least"] = max(sizes["least"], 2 * sizes["multiple"])
    torch.export.save(program, path, extra_files={METADATA: describe(sizes)})
    return sizes


def _traced(run: Run, trace: Callable[[nn.Module, torch.Tensor, dict[int, Any]], Any]) -> tuple[Any, dict[str, Any]]:
    """What ``trace`` makes of the network, an example and the dynamic axes of pictures; and what is known of sizes."""
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
    with _silence(), torch.no_grad():
        if padded.fixed_size is None:
            try:
                found = trace(whole, example, {0: batch, 1: height, 2: width})
                return found, {"multiple": multiple, "least": least, "any_size": True}
            except Exception:  # the exporter refuses what depends on a size with whatever exception comes to hand
                pass
        return trace(whole, example, {0: batch}), {"multiple": side, "least": side, "any_size": False}


def _to_program(whole: nn.Module, example: torch.Tensor, dynamic: dict[int, Any]) -> torch.export.ExportedProgram:
    return torch.export.export(whole, (example,), dynamic_shapes={"pictures": dynamic})


def _to_onnx(whole: nn.Module, example: torch.Tensor, dynamic: dict[int, Any]) -> torch.onnx.ONNXProgram:
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
    assert program is not None  # only the older exporter gives None
    return program


@contextmanager
def _silence() -> Iterator[None]:
    """What the exporters' parts say about one another is for nobody here."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
