"""Several trained runs as one: the mean of their probabilities, and of their own data only what they did not see."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from medseg import registry
from medseg.datasets.frames import read_grey, read_rgb
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.rules import MaskRules, See, Segmentation, Segmenter
from medseg.experiments.identity import fold_of, question
from medseg.experiments.runs import Run, dataset_of, usable_runs


def all_folds(run: Run) -> list[Run]:
    """The finished runs that differ from ``run`` in nothing but the fold that they held out, by fold; itself too.

    Raises:
        MedsegError: there is no other.
    """
    wanted = _but_for_the_fold(run.record)
    found = [other for other in usable_runs(run.record["study"]) if _but_for_the_fold(other.record) == wanted]
    done = sorted((r for r in found if r.record.get("status") == "finished"), key=lambda r: fold_of(r.record) or 0)
    if len(done) < 2:
        raise MedsegError(
            f"The run {run.id} has no finished other fold. Train them with a sweep whose grid has fold: [0, 1, 2, 3, "
            "4] and whose other parameters are those of the run, or leave --all-folds out."
        )
    return done


class Average:
    """Runs over the same data as one: pictures in, masks out, by the mean of the runs' probabilities and thresholds.

    Where the runs held out different folds, a picture of their own data is predicted by those alone that held it out:
    the others were trained on it, or chosen by it. Such a picture is known by its pixels.

    Attributes:
        thresholds: of everything that is scored, mean over the runs.
        own: names of the pictures of the runs' own data that were met.
        unchecked: why pictures could not be looked for in the data; empty where they were, or need not be.

    Args:
        runs: one or more, finished.
        predictors: of each; see :func:`medseg.evaluation.common.load_predictor`.

    Raises:
        MedsegError: runs over different data, or with different rules from probabilities to masks, or fitted
            thresholds before an evaluation.
    """

    def __init__(self, runs: Sequence[Run], predictors: Sequence[kinds.Predictor]) -> None:
        self._runs, self._predictors = list(runs), list(predictors)
        record = _only(self._runs, lambda record: record["dataset"]["fingerprint"], "data (another preparation)")
        _only(self._runs, lambda record: MaskRules.of(record["parameters"]), "thresholds, postprocess or crf")
        self.kind = kinds.of(registry.find(record["study"]).label, record["dataset"]["classes"])
        self._thresholds = [thresholds_of(run, self.kind) for run in self._runs]
        self.thresholds = np.mean(self._thresholds, axis=0).tolist()
        self.own: list[str] = []
        self.unchecked = ""
        self._fold_of: dict[str, int] = {}
        if len({fold_of(run.record) for run in self._runs}) > 1:
            try:
                self._fold_of = self._known_pictures()
            except MedsegError as error:
                self.unchecked = str(error)
        self._segmenter = functools.lru_cache(maxsize=None)(self._made)

    def __call__(self, picture: np.ndarray, name: str, see: See | None = None) -> Segmentation:
        """Masks of a picture (H, W, 3) uint8 RGB, or (H, W) uint8 where the data is grey; ``see`` as of a segmenter.

        Raises:
            MedsegError: a network gives no numbers, or the picture is of the runs' own data and none held it out.
        """
        fold = self._fold_of.get(_digest(picture)) if self._fold_of else None
        chosen = [number for number, run in enumerate(self._runs) if fold is None or fold_of(run.record) == fold]
        if not chosen:
            raise MedsegError(
                f"{name} is a picture of the data that the runs were trained on, of fold {fold}, and no run that was "
                "given held that fold out. Give the run of that fold too, or leave the picture out."
            )
        if fold is not None:
            self.own.append(name)
        return self._segmenter(tuple(chosen))(picture, name, see)

    def read(self, path: Any) -> np.ndarray:
        """A picture as the networks want it."""
        return read_grey(path) if self.kind.grey else read_rgb(path)

    def _known_pictures(self) -> dict[str, int]:
        dataset = dataset_of(self._runs[0])
        rows = zip(dataset.index["image"], dataset.index["fold"], strict=True)
        return {_digest(self.read(dataset.path(image))): int(fold) for image, fold in rows}

    def _made(self, chosen: tuple[int, ...]) -> Segmenter:
        """The segmenter of the runs of these numbers."""
        runs = [self._runs[number] for number in chosen]
        predictors = [self._predictors[number] for number in chosen]
        rules = MaskRules.of(runs[0].record["parameters"])
        thresholds = np.mean([self._thresholds[number] for number in chosen], axis=0).tolist()
        return Segmenter(runs[0], _mean(predictors, self.kind), self.kind, rules, thresholds)


class _MeanMaps:
    """The mean of several networks' probabilities of one picture, a class at a time."""

    def __init__(self, maps: Sequence[kinds.Maps]) -> None:
        self._maps = maps

    def __len__(self) -> int:
        return len(self._maps[0])

    def __getitem__(self, number: int) -> np.ndarray:
        return np.mean([maps[number] for maps in self._maps], axis=0)


def _mean(predictors: Sequence[kinds.Predictor], kind: kinds.Kind) -> kinds.Predictor:
    if len(predictors) == 1:
        return predictors[0]
    if kind.name == "overlapping":
        return lambda picture: _MeanMaps([predict(picture) for predict in predictors])
    return lambda pictures: [
        np.mean(several, axis=0) for several in zip(*(predict(pictures) for predict in predictors), strict=True)
    ]


def thresholds_of(run: Run, kind: kinds.Kind) -> list[float]:
    """As the run's evaluation had them, of everything that is scored."""
    evaluation = run.record.get("evaluation", {})
    if MaskRules.of(run.record["parameters"]).thresholds == "fixed":
        return [evaluation.get("threshold", 0.5)] * len(kind.scored)
    if "thresholds" not in evaluation:
        raise MedsegError(f"The thresholds of the run {run.id} are fitted by 3_evaluate: run that first.")
    return list(evaluation["thresholds"].values())


def _only(runs: Sequence[Run], fact: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
    """The record of the first run; a MedsegError where another differs in ``fact``, which is called ``what``."""
    for run in runs[1:]:
        if fact(run.record) != fact(runs[0].record):
            raise MedsegError(f"The runs {runs[0].id} and {run.id} differ in their {what} and cannot be averaged.")
    return runs[0].record


def _but_for_the_fold(record: dict[str, Any]) -> tuple[Any, ...]:
    asked = question(record.get("parameters", {}), record.get("weights_files", {}))
    asked.pop("fold", None)
    return record.get("stage"), record.get("dataset", {}).get("fingerprint"), asked


def _digest(picture: np.ndarray) -> str:
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()
