"""ONNX files on onnxruntime: the network of an exported file, without the framework that trained it."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from medseg import registry
from medseg.errors import MedsegError
from medseg.evaluation.network import OnHost, filled_up
from medseg.prediction.exported import KEY, check_told
from medseg.project import display

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}  # onnxruntime's words for devices, in the order in which ``auto`` takes them


def require(*packages: str) -> None:
    """A :class:`MedsegError` where a package for ONNX is not installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise MedsegError(f"ONNX files need {missing[0]}, which is not installed: pip install 'medseg[onnx]'.")


class OnnxNetwork(OnHost):
    """The graph of a file.

    It takes ``pictures`` (B, H, W, K) uint8, RGB or grey, H and W multiples of ``multiple``, and gives ``logits`` and
    ``probabilities`` (B, C, H, W) float32. ``facts`` are its metadata.
    """

    def __init__(self, session: Any, facts: dict[str, Any]) -> None:
        super().__init__(exclusive=registry.find(facts["study"]).label == "class_map")
        self._session, self._facts = session, facts

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """Of any size that the network takes once it is filled up."""
        height, width = pictures.shape[1:3]
        whole = filled_up(pictures, self._facts["multiple"], self._facts["least"])
        (found,) = self._session.run(["logits"], {"pictures": whole})
        return found[..., :height, :width]


def load(path: Path, device: str = "auto") -> tuple[OnnxNetwork, dict[str, Any]]:
    """The network of a file and its metadata.

    Raises:
        MedsegError: a file that is damaged, or was not exported by medseg; onnxruntime is not installed, or it does not
            have the device.
    """
    require("onnxruntime")
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # errors alone, as below
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone; graphs made by tf2onnx bear an attribute that is out of use
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # 0: all, as the frameworks do
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
        raise MedsegError(f"{display(path)} cannot be read as ONNX ({str(error).splitlines()[0]}).") from error
    if device != "auto" and session.get_providers()[0] != providers[0]:  # it goes on with the next where one fails
        raise MedsegError(f"onnxruntime cannot compute on {device!r} here. Use --device cpu.")
    told = session.get_modelmeta().custom_metadata_map
    check_told(path, KEY in told)
    facts = json.loads(told[KEY])
    return OnnxNetwork(session, facts), facts


def _providers(device: str, there: list[str]) -> list[str]:
    """What onnxruntime is to compute with, the CPU last, where it does what a device cannot; a :class:`MedsegError`."""
    found = [name for name, provider in _PROVIDERS.items() if provider in there]
    if device not in ("auto", *found):
        raise MedsegError(
            f"The device {device!r} is not available to onnxruntime here. Available: {', '.join(found)}. For NVIDIA's "
            "GPUs install onnxruntime-gpu in the place of onnxruntime."
        )
    # Apple's neural engine rounds otherwise than a run does: only those who ask for it get it.
    wanted = ["cuda", "cpu"] if device == "auto" else [device, "cpu"]
    return [_PROVIDERS[name] for name in dict.fromkeys(wanted) if name in found]
