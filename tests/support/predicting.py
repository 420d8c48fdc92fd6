"""Predict a folder with runs whose predictors are given."""

from pathlib import Path
from typing import Any

from medseg.masks import submission
from medseg.prediction import models, sources
from medseg.prediction.command import Options, predict_with


def predict(runs: list, predictors: list, pictures: Path, out: Path, **options: Any) -> str:
    """What a person is told."""
    loaded = models.of_runs(runs, predictors=predictors)
    return "; ".join(predict_with(loaded, sources.find(pictures), out, Options(**options)))


def codes(out: Path) -> dict[tuple[str, str], str]:
    """Run-length codes of the submission, by names of picture and class."""
    return {(row.image_name, row.class_name): row.rle for row in submission.read(out / "submission.csv")}
