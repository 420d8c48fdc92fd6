"""An exported network (ONNX) as a model that predicts; neither its run nor the framework that trained it is needed.

The graph takes ``pictures`` (B, H, W, K) uint8, RGB or grey, H and W multiples of ``multiple``, and gives ``logits``
and ``probabilities`` (B, C, H, W) float32. Its metadata say everything else, so that new pictures are predicted exactly
as a run's own are scored.
"""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation.warp import fit_picture, fitted_size, resize_image
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.experiments.runs import Run
from medseg.project import display

#: Key of the metadata under which everything is kept as JSON.
KEY = "medseg"
_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def require(*packages: str) -> None:
    """A :class:`MedsegError` where a package for ONNX is not installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise MedsegError(f"ONNX files need {missing[0]}, which is not installed: pip install 'medseg[onnx]'.")


class ExportedNetwork:
    """An ONNX file, ready to compute on the CPU.

    Attributes:
        facts: its metadata; see :func:`medseg.export.command.facts_of`.
        kind: of its labels.

    Raises:
        MedsegError: a file that is missing, damaged, or was not exported by medseg; or onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        require("onnxruntime")
        import onnxruntime

        if not path.is_file():
            raise MedsegError(f"There is no file {display(path)}.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone; graphs made by tf2onnx bear an attribute that is out of use
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # 0: all, as the frameworks do
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a damaged file fails in many ways, each with an exception of its own
            raise MedsegError(f"{display(path)} cannot be read as ONNX ({str(error).splitlines()[0]}).") from error
        told = self._session.get_modelmeta().custom_metadata_map
        if KEY not in told:
            raise MedsegError(
                f"{display(path)} does not say what it predicts (there is no {KEY!r} in its metadata). Give a file "
                "that 'medseg export' wrote."
            )
        self.facts: dict[str, Any] = json.loads(told[KEY])
        self.kind = kinds.of_study(self.facts["study"], self.facts["classes"])

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """Logits (B, C, H, W) float32 of pictures (B, H, W, K) uint8 of any size that the network takes once padded."""
        height, width = pictures.shape[1:3]
        least, multiple = self.facts["least"], self.facts["multiple"]
        bottom, right = (-(-max(side, least) // multiple) * multiple - side for side in (height, width))
        padded = np.pad(pictures, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")
        (found,) = self._session.run(["logits"], {"pictures": padded})
        return found[..., :height, :width]

    def __call__(self, pictures: Any) -> Any:
        """As :data:`medseg.evaluation.kinds.Predictor` of the kind of label."""
        if self.kind.name == "overlapping":
            grey = cv2.cvtColor(pictures, cv2.COLOR_RGB2GRAY) if pictures.ndim == 3 else pictures
            return _Maps([self._fitted(grey, *view) for view in self.facts["views"]], grey.shape, self._interpolation)
        return [self._of(picture) for picture in pictures]

    def segmenter(self) -> Segmenter:
        """Pictures in, masks out, by the rules by which the run was scored."""
        stand_in = Run(Path(self.facts["run"]))  # for its name in messages; the folder need not be there
        return Segmenter(stand_in, self, self.kind, MaskRules(**self.facts["rules"]), self.facts["thresholds"])

    @property
    def _interpolation(self) -> int:
        return _INTERPOLATIONS[self.facts["upsampling"]]

    def _of(self, picture: np.ndarray) -> np.ndarray:
        """Probability (H, W) of one class, or (C, H, W) of classes that exclude one another, float32."""
        views = []
        for scale, flipped in self.facts["views"]:
            seen = resize_image(picture, max(1, round(self.facts["resolution"] * scale)))
            if flipped:
                seen = np.ascontiguousarray(seen[:, ::-1])
            logits = self.logits(seen[None])[0]
            views.append([enlarged(part, picture.shape[:2], self._interpolation) for part in mirrored(logits, flipped)])
        if self.kind.name == "binary":
            return mean([sigmoid(view[0]) for view in views])
        return mean([softmax(np.stack(view)) for view in views])

    def _fitted(self, picture: np.ndarray, scale: float, flipped: bool) -> np.ndarray:
        """Logits (C, h, w) of a grey picture (H, W) fitted into the square at whose upper left corner it lies."""
        seen = np.ascontiguousarray(picture[:, ::-1]) if flipped else picture
        longest = max(seen.shape)
        side = max(1, round(longest * (scale * (self.facts["resolution"] / longest))))
        width, height = fitted_size(seen.shape[::-1], side)
        logits = self.logits(fit_picture(seen, side)[None, :, :, None])[0, :, :height, :width]
        return mirrored(logits, flipped)


class _Maps(Sequence[np.ndarray]):
    """Probabilities of one picture at its own size, one class at a time: the mean over views."""

    def __init__(self, logits: Sequence[np.ndarray], size: tuple[int, ...], interpolation: int) -> None:
        self._logits, self._size, self._interpolation = logits, size, interpolation

    def __len__(self) -> int:
        return len(self._logits[0])

    def __getitem__(self, number: Any) -> Any:
        return mean([sigmoid(enlarged(view[number], self._size, self._interpolation)) for view in self._logits])


def enlarged(logits: np.ndarray, size: tuple[int, ...], interpolation: int) -> np.ndarray:
    """(h, w) float32 brought to ``size`` (H, W); the centre of pixel i lies at i + 1/2, as in the frameworks."""
    return cv2.resize(np.ascontiguousarray(logits), (size[1], size[0]), interpolation=interpolation)


def mean(views: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(views, axis=0, dtype=np.float32))


def mirrored(logits: np.ndarray, flipped: bool) -> np.ndarray:
    return logits[..., ::-1] if flipped else logits


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Without overflow, since 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)
