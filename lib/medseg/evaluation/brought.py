"""Scores of what a method made elsewhere says: a run without a training, beside ours in every table."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets.folders import BadFile
from medseg.datasets.index import PreparedDataset
from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.evaluation import answers, evaluator, kinds
from medseg.evaluation.answers import Answers
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.experiments import runs
from medseg.experiments.runs import BROUGHT, Run
from medseg.metrics.saliency import MEASURES
from medseg.names import listed

_NAMED = 8  # missing cases in a message


class BroughtSegmenter(Segmenter):
    """Takes the maps of cases from files."""

    def __init__(self, run: Run, kind: kinds.Kind, found: Answers, threshold: float) -> None:
        super().__init__(run, self._no_network, kind, MaskRules(threshold=threshold))
        self._found = found

    def described(self) -> dict[str, Any]:
        return {**super().described(), "scaled": self._found.scaled, "scaling": answers.SCALING}

    def _predicted(
        self, dataset: PreparedDataset, cases: pd.DataFrame, batch_size: int
    ) -> Iterator[tuple[pd.Series, np.ndarray, Any, kinds.Maps]]:
        for _, case in cases.iterrows():
            picture, label = self.kind.read(dataset, case)
            try:
                probabilities = self._found.probabilities(case, picture.shape[:2])
            except (BadFile, ValueError) as error:
                raise MedsegError(f"{case['case_id']} cannot be scored: {error}") from error
            told = probabilities if self.kind.name == "overlapping" else [probabilities]
            (maps,) = self.kind.maps(partial(_told, told), [picture])
            yield case, picture, label, maps

    @staticmethod
    def _no_network(pictures: Any) -> Any:
        raise NotImplementedError("what was brought has no network")


def _told(answer: Any, _: Any) -> Any:
    return answer


def score(
    source: Path,
    dataset: PreparedDataset,
    name: str,
    *,
    threshold: float = 0.5,
    stretch: bool = False,
    incomplete: bool = False,
    fold: int = -1,
    tolerance: float = 2.0,
) -> tuple[Run, pd.DataFrame]:
    """Score the maps or masks at ``source`` on the test cases of a dataset, and keep them as a run called ``name``.

    The same name on the same data takes the place of what was brought before.

    Args:
        source: see :data:`medseg.evaluation.answers.EXPECTED`.
        threshold: a pixel belongs to a class where its map is above; of a class map no matter.
        stretch: bring every map of one class to 0..1 first, as PraNet's evaluation does.
        incomplete: score the cases that there are; the run then stands in no comparison.
        fold: held out, where the dataset has folds; -1: as prepared.
        tolerance: of the surface Dice, pixels of the picture.

    Returns:
        The run and its ``cases.csv``.

    Raises:
        MedsegError: no name, no file, cases without an answer, a file that is damaged or could be of several cases;
            nothing is kept then.
    """
    if not name.strip():
        raise MedsegError('A method that is brought needs a name: --as "NAME".')
    held = hold_out(dataset, fold)
    study = held.info["study"]
    kind = kinds.of_study(study, held.info["classes"])
    cases = held.split("test")
    if cases.empty:
        raise MedsegError(f"{project.display(held.folder)} has no test cases to score anything on.")
    found = answers.read(source, kind, stretch)
    lacking = found.lacking(cases)
    without = cases["case_id"].isin([case_id for case_id, _ in lacking])
    if lacking and not (incomplete and (~without).any()):
        shown = listed([" ".join(filter(None, entry)) for entry in lacking], most=_NAMED)
        raise MedsegError(
            f"{project.display(source)} has no answer for {without.sum()} of {len(cases)} test cases of "
            f"{project.display(held.folder)}: {shown}. Files are called like the test pictures, or lie in "
            "folders called like the test sets; --partial scores those that are there."
        )
    kept = replace(held, index=held.index[~held.index["case_id"].isin(cases[without]["case_id"])])
    parameters = {"architecture": name.strip(), **({"fold": fold} if fold != -1 else {})}
    run = runs.prepare_run(study, BROUGHT, parameters, dataset)
    with runs.bringing(run, study, parameters, held):
        segment = BroughtSegmenter(run, kind, found, threshold)
        table = evaluator.evaluate(run, segment, kept, tolerance=tolerance)
        run.update(
            brought={
                "name": name.strip(),
                "from": source.name,
                "stretched": stretch,
                "cases": len(cases) - int(without.sum()),
                "of": len(cases),
            }
        )
    return run, table


def summary(run: Run) -> str:
    """What a person is told of a run that was brought."""
    told = run.record["brought"]
    scaled = run.record["evaluation"]["scaled"]
    words = [f"{told['cases']} of {told['of']} cases scored" + ("" if not scaled else f", {scaled} maps scaled")]
    if told["cases"] < told["of"]:
        words.append("so it stands in no comparison: means over other cases say nothing about each other")
    figures = run.record["evaluation"].get("saliency", {}).get("test_sets", {})
    for test_set, values in figures.items():
        shown = listed(
            [f"{key} {value:.3f}" for key, value in values.items() if value is not None and key in MEASURES], most=20
        )
        words.append(f"{test_set}: {shown}")
    return "; ".join(words)
