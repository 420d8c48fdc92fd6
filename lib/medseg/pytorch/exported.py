"""Programs that ``medseg export --format torch`` wrote (``torch.export``, .pt2), as networks that predict."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export.passes import move_to_device_pass

from medseg.errors import MedsegError
from medseg.evaluation.network import filled_up
from medseg.project import display, environment
from medseg.pytorch import device as devices
from medseg.pytorch.export import METADATA
from medseg.pytorch.inference import OnDevice

#: Unpickle nothing but tensors; without this, a file that holds something else would be unpickled whole.
_WEIGHTS_ALONE = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}


class ExportedProgram(OnDevice):
    """A program that takes pictures (B, H, W, K) uint8 and gives logits and probabilities (B, C, H, W) float32."""

    def __init__(self, program: torch.nn.Module, facts: dict[str, Any], device: devices.Device) -> None:
        super().__init__(device)
        self._program, self._facts = program, facts

    @torch.inference_mode()
    def logits(self, pictures: np.ndarray) -> torch.Tensor:
        height, width = pictures.shape[1:3]
        whole = filled_up(pictures, self._facts["multiple"], self._facts["least"])
        return self._program(self.sent(whole))[0][..., :height, :width]


def load(path: Path, device: str = "auto") -> tuple[ExportedProgram, dict[str, Any]]:
    """The network of a file, in fp32, and its metadata ({} where it has none).

    A :class:`MedsegError` where the file is damaged, or the device is not there.
    """
    chosen = devices.choose(device, "fp32")
    told = {METADATA: ""}
    try:
        with environment(_WEIGHTS_ALONE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the loader, about how it reads
            program = torch.export.load(path, extra_files=told)
            if chosen.kind != "cpu":
                program = move_to_device_pass(program, chosen.kind)
        facts = json.loads(told[METADATA] or "{}")
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MedsegError(f"{display(path)} cannot be read as a program of torch.export ({reason}).") from error
    return ExportedProgram(program.module(), facts, chosen), facts
