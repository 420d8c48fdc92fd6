"""From probabilities to masks by the rules of a run: what is scored, and so what is shown."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medseg import registry
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.common import check_trained_on
from medseg.evaluation.thresholds import ThresholdFit
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import crf
from medseg.masks.postprocess import postprocess

#: Is shown a class and its probability (H, W) in [0, 1].
See = Callable[[str, np.ndarray], None]
#: Is shown a row of the index, its label, the name of what is scored and its probability (H, W) in [0, 1].
Watch = Callable[[pd.Series, Any, str, np.ndarray], None]
POSTPROCESSING = ("none", "holes", "largest", "both")
_PARAMETERS = ("thresholds", "postprocess", "crf")


@dataclass(frozen=True)
class MaskRules:
    """From the probability of one class to its mask.

    A :class:`MedsegError` for an unknown rule, a threshold outside [0, 1], or a CRF where its package is missing.
    """

    #: ``fixed`` (``threshold`` for every class) or ``fitted``, see :mod:`medseg.evaluation.thresholds`.
    thresholds: str = "fixed"
    postprocess: str = "none"  # or ``holes`` (filled), ``largest`` (component alone kept), ``both``
    crf: bool = False  # whether a dense CRF moves the probabilities to the picture's edges before the threshold
    threshold: float = 0.5  # where thresholds are fixed; a pixel is set where its probability is above

    def __post_init__(self) -> None:
        if self.thresholds not in ("fixed", "fitted") or self.postprocess not in POSTPROCESSING:
            raise MedsegError(
                f"thresholds is {self.thresholds!r}, postprocess {self.postprocess!r}; expected fixed or fitted, and "
                f"one of {', '.join(POSTPROCESSING)}."
            )
        if not 0 <= self.threshold <= 1:
            raise MedsegError(f"threshold is {self.threshold}, expected a probability from 0 to 1.")
        if self.crf:
            crf.require()

    @classmethod
    def of(cls, parameters: Mapping[str, Any], threshold: float = 0.5) -> "MaskRules":
        """The rules that a training's parameters ask for; what they do not mention is not done."""
        return cls(
            parameters.get("thresholds", "fixed"),
            parameters.get("postprocess", "none"),
            parameters.get("crf", False),
            threshold,
        )

    def mask(self, probability: np.ndarray, threshold: float) -> np.ndarray:
        """The mask (H, W) bool of a probability (H, W)."""
        predicted = probability > threshold
        if self.postprocess == "none":
            return predicted
        holes, largest = self.postprocess != "largest", self.postprocess != "holes"
        return postprocess(predicted, holes=holes, largest=largest).astype(bool)


class Segmentation(NamedTuple):
    """A segmented picture."""

    #: uint8 (H, W) of {0, 1} for binary labels and of classes (0: none) for class maps, (C, H, W) where they overlap.
    mask: np.ndarray
    #: (H, W) in [0, 1] that was thresholded, of the class or of the foreground; None where classes overlap.
    probability: np.ndarray | None


class Segmenter:
    """A run's network and its rules: pictures in, masks out. Made by :func:`segmenter`.

    Attributes:
        thresholds: of everything that is scored.
        fit_seconds: that fitting the thresholds took.
    """

    def __init__(
        self, run: Run, predict: kinds.Predictor, kind: kinds.Kind, rules: MaskRules, thresholds: Sequence[float] = ()
    ) -> None:
        self.run, self.kind, self.rules = run, kind, rules
        self.thresholds = list(thresholds) or [rules.threshold] * len(kind.scored)
        self.fit_seconds = 0.0
        self._predict = predict

    def __call__(self, picture: np.ndarray, name: str = "a picture", see: See | None = None) -> Segmentation:
        """Masks of a picture (H, W, 3) uint8 RGB, or (H, W) uint8 where the data is grey.

        ``see`` is called with every class and its probability (H, W): where classes overlap and for one class that
        which is thresholded. A :class:`MedsegError` with ``name`` where the network gives no numbers.
        """
        (maps,) = self.kind.maps(self._predict, [picture])
        whole_picture = self.kind.scored != self.kind.classes  # classes together are thresholded, not each
        found = self._segment(picture, maps, name, None if whole_picture else see)
        if whole_picture and see is not None:
            for class_name, probability in self.kind.of_classes(maps):
                see(class_name, probability)
        return found

    def over(
        self, dataset: PreparedDataset, cases: pd.DataFrame, batch_size: int = 1, watch: Watch | None = None
    ) -> Iterator[tuple[pd.Series, Any, Segmentation]]:
        """Row, label and segmentation of every case, ``batch_size`` pictures through the network at a time.

        ``watch`` is called with row and label of a case, and everything that is scored with the probability (H, W) that
        is thresholded. A :class:`MedsegError` where a file cannot be read, or the network gives no numbers.
        """
        for case, picture, label, maps in self._predicted(dataset, cases, batch_size):
            see = None if watch is None else partial(watch, case, label)
            yield case, label, self._segment(picture, maps, case["case_id"], see)

    def fit(self, dataset: PreparedDataset, batch_size: int = 1) -> None:
        """Fit the thresholds on the validation cases of ``dataset``; raises what :meth:`over` does."""
        started, cases = time.monotonic(), dataset.split("validation")
        fit, progress = ThresholdFit(len(self.kind.scored)), Progress(self.run.folder)
        for done, (case, picture, label, maps) in enumerate(self._predicted(dataset, cases, batch_size), 1):
            for number, refined in self._probabilities(picture, maps, case["case_id"]):
                fit.add(number, refined, self.kind.truth(label, number), split=case["split"])
            progress.update(done, len(cases), f"thresholds: {done} of {len(cases)} validation cases")
        self.thresholds = fit.fit()
        self.fit_seconds = time.monotonic() - started

    def described(self) -> dict[str, Any]:
        """What the record of an evaluation says of the rules."""
        low, high = min(self.thresholds), max(self.thresholds)
        what, one = self.kind.probability, len(self.thresholds) == 1
        fixed = self.rules.thresholds == "fixed"
        fitted = "" if fixed else f"a threshold{'' if one else ' for each class,'} fitted on the validation cases alone"
        return {
            "threshold": low if low == high else f"{low:.2f} to {high:.2f}",
            "rule": f"{what} above {f'{low:g}, fixed in advance' if fixed else fitted}",
            "rules": {name: getattr(self.rules, name) for name in _PARAMETERS},
            **({} if fixed else {"thresholds": dict(zip(self.kind.scored, self.thresholds, strict=True))}),
        }

    def _predicted(
        self, dataset: PreparedDataset, cases: pd.DataFrame, batch_size: int
    ) -> Iterator[tuple[pd.Series, np.ndarray, Any, kinds.Maps]]:
        for first in range(0, len(cases), batch_size):
            batch = [case for _, case in cases.iloc[first : first + batch_size].iterrows()]
            pictures, labels = zip(*(self.kind.read(dataset, case) for case in batch), strict=True)
            found = self.kind.maps(self._predict, list(pictures))
            yield from zip(batch, pictures, labels, found, strict=True)

    def _probabilities(self, picture: np.ndarray, maps: kinds.Maps, name: str) -> Iterator[tuple[int, np.ndarray]]:
        """The number of everything that is scored, and the probability that is thresholded."""
        scored = self.kind.scored
        if len(maps) != len(scored):
            raise ValueError(f"run {self.run.id} predicts {len(maps)} classes, the dataset has {len(scored)}")
        for number in range(len(scored)):
            probability = maps[number]
            if probability.shape != picture.shape[:2]:
                raise ValueError(f"{name}: probabilities {probability.shape}, picture {picture.shape[:2]}")
            if not np.isfinite(probability).all():
                case = f"{name} ({scored[number]})" if len(scored) > 1 else name
                raise MedsegError(
                    f"The network of run {self.run.id} gives no number for {case}: its training diverged. Train again "
                    "with a lower learning rate, or in fp32."
                )
            yield number, crf.refine(picture, probability) if self.rules.crf else probability

    def _segment(self, picture: np.ndarray, maps: kinds.Maps, name: str, see: See | None = None) -> Segmentation:
        last = None

        def masks() -> Iterator[np.ndarray]:
            nonlocal last
            for number, last in self._probabilities(picture, maps, name):
                if see is not None:
                    see(self.kind.scored[number], last)
                yield self.rules.mask(last, self.thresholds[number])

        mask = self.kind.whole(masks(), maps)
        return Segmentation(mask, last if mask.ndim == 2 else None)


def segmenter(
    run: Run,
    predict: kinds.Predictor,
    dataset: PreparedDataset,
    *,
    threshold: float = 0.5,
    batch_size: int = 1,
    kind: kinds.Kind | None = None,
) -> Segmenter:
    """The segmenter of a finished run by the rules of its parameters; thresholds are fitted now where these ask for it.

    ``predict`` is of one of its checkpoints, ``dataset`` the one it was trained on, with the fold held out that it was
    trained without. ``threshold`` is what ``fixed`` means, ``kind`` None: that of the run's study. A
    :class:`MedsegError` where rules are unknown, the dataset is another, there is no such study, or the network gives
    no numbers.
    """
    check_trained_on(run, dataset)
    record = run.record
    kind = kind or kinds.of(registry.find(record.get("study", "")).label, dataset.info["classes"])
    made = Segmenter(run, predict, kind, MaskRules.of(record["parameters"], threshold))
    if made.rules.thresholds == "fitted":
        made.fit(dataset, batch_size)
    return made
