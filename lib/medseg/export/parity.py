"""How far an exported network is from the one that it was made of, on pictures."""

from dataclasses import dataclass

import numpy as np

from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.rules import Segmenter
from medseg.experiments.runs import Run, dataset_of
from medseg.prediction.exported import ExportedNetwork

MOST_DIFFERENCE = 1e-3  # of a probability
LEAST_DICE = 0.999  # of masks, unless both are empty


@dataclass(frozen=True)
class Parity:
    """Greatest difference of a probability, lowest Dice of the masks, over so many pictures, and which these are."""

    difference: float
    dice: float
    cases: int
    what: str

    @property
    def holds(self) -> bool:
        return self.difference <= MOST_DIFFERENCE and self.dice >= LEAST_DICE

    def told(self) -> str:
        return f"probabilities differ by {self.difference:.1e} at most, lowest Dice of the masks {self.dice:.5f}"


def compare(run: Run, predict: kinds.Predictor, exported: ExportedNetwork, cases: int) -> Parity:
    """Compare on ``cases`` test pictures of the run's data, evenly spread; where these are not here, on noise."""
    kind = exported.kind
    pictures, what = _pictures(run, kind, cases)
    there = exported.segmenter()
    own = Segmenter(run, predict, kind, there.rules, there.thresholds)
    difference, dice = 0.0, 1.0
    for picture in pictures:
        seen: list[dict[str, np.ndarray]] = [{}, {}]
        masks = [
            segment(picture, "a picture", maps.__setitem__).mask
            for segment, maps in zip((own, there), seen, strict=True)
        ]
        difference = max(difference, *(float(np.abs(seen[0][name] - seen[1][name]).max()) for name in seen[0]))
        for number in range(len(kind.scored)):
            first, second = (np.asarray(kind.part(mask, number), bool) for mask in masks)
            size = int(first.sum()) + int(second.sum())
            dice = min(dice, 2 * int((first & second).sum()) / size) if size else dice
    return Parity(difference, dice, len(pictures), what)


def _pictures(run: Run, kind: kinds.Kind, most: int) -> tuple[list[np.ndarray], str]:
    try:
        dataset = dataset_of(run)
        rows = dataset.split("test") if not dataset.split("test").empty else dataset.index
    except MedsegError:
        shape = (480, 640) if kind.grey else (480, 640, 3)
        draw = np.random.default_rng(0)
        return [draw.integers(0, 256, shape, np.uint8) for _ in range(2)], "pictures of noise (the data are not here)"
    chosen = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
    return [kind.read(dataset, row)[0] for _, row in chosen.iterrows()], "test pictures"
