"""Scores of what a method made elsewhere says: a run without a training, beside ours in every table."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pandas as pd

from medseg import project, registry
from medseg.datasets.index import PreparedDataset
from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.evaluation import answers, evaluator, kinds
from medseg.evaluation.answer_files import Files
from medseg.evaluation.answer_rows import RunLengths, Shapes
from medseg.evaluation.answers import Answers
from medseg.evaluation.rules import MaskRules, Segmenter
from medseg.experiments import runs
from medseg.experiments.runs import BROUGHT, Run
from medseg.metrics.saliency import MEASURES
from medseg.names import listed

_NAMED = 8  # missing cases in a message


EXPECTED = (
    "a folder with a file for each test picture, called like it (PNG, JPEG, TIFF or BMP of 8 or 16 bits, npy, npz), in "
    "a folder for each class where classes overlap; or a CSV of run lengths (image_name,class,rle); or a COCO file"
)


class BroughtSegmenter(Segmenter):
    """Takes the maps of cases from files."""

    def __init__(self, run: Run, kind: kinds.Kind, found: Answers, threshold: float) -> None:
        super().__init__(run, self._no_network, kind, MaskRules(threshold=threshold))
        self._found = found

    def described(self) -> dict[str, Any]:
        scaled = {"scaled": self._found.scaled, "scaling": answers.SCALING, "soft": self._found.soft}
        return {**super().described(), **scaled, "checkpoint": None}

    def _predicted(
        self, dataset: PreparedDataset, cases: pd.DataFrame, batch_size: int
    ) -> Iterator[tuple[pd.Series, np.ndarray, Any, kinds.Maps]]:
        for _, case in cases.iterrows():
            picture, label = self.kind.read(dataset, case)
            found = self._found.maps(case, picture.shape[:2])
            (maps,) = self.kind.maps(partial(_told, found if self.kind.name == "overlapping" else [found]), [picture])
            yield case, picture, label, maps

    @staticmethod
    def _no_network(pictures: Any) -> Any:
        raise NotImplementedError("what was brought has no network")


def read(path: Path, study: registry.Study, kind: kinds.Kind, *, threshold: float, stretch: bool) -> Answers:
    """What lies at ``path``; a :class:`MedsegError` where that is no answer to anything, see :data:`EXPECTED`.

    ``threshold`` is that of scores of shapes (COCO), ``stretch`` as of :func:`score`.
    """
    named: answers.SetNamed = resolve_name(study.set_named) if study.set_named else lambda folder: None
    suffix = path.suffix.casefold() if path.is_file() else ""
    if stretch and (suffix or kind.name == "class_map"):
        raise MedsegError(f"Maps of probabilities can be stretched; {project.display(path)} has masks. Leave it out.")
    if path.is_dir():
        return Files(path, kind, named, stretch)
    if suffix == ".csv":
        return RunLengths(path, kind, named)
    if suffix == ".json":
        return Shapes(path, kind, named, threshold)
    raise MedsegError(
        f"{project.display(path)} {'cannot be scored' if path.exists() else 'does not exist'}. Expected {EXPECTED}."
    )


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
        source: see :data:`EXPECTED`.
        threshold: a pixel belongs to a class where its map is above, a shape of a COCO file is there where its score
            is; of a class map no matter.
        stretch: bring every map of one class to 0..1 first, as PraNet's evaluation does; else maps are taken as they
            are.
        incomplete: score the cases that there are; the run then stands in no comparison.
        fold: held out, where the dataset has folds; -1: as prepared.
        tolerance: of the surface Dice, pixels of the picture.

    Returns:
        The run and its ``cases.csv``.

    Raises:
        MedsegError: no name, no file, cases without an answer, a file that is damaged or could be of several cases;
            nothing is kept then.
    """
    name = name.strip()
    if not name:
        raise MedsegError('A method that is brought needs a name: --as "NAME".')
    held = hold_out(dataset, fold)
    study = registry.find(held.info["study"])
    kind = kinds.of_study(study.name, held.info["classes"])
    cases = held.split("test")
    if cases.empty:
        raise MedsegError(f"{project.display(held.folder)} has no test cases to score anything on.")
    rules = MaskRules(threshold=threshold)
    found = read(source, study, kind, threshold=rules.threshold, stretch=stretch)
    lacking = found.lacking(cases)
    without = cases["case_id"].isin([case_id for case_id, _ in lacking])
    if lacking and not (incomplete and (~without).any()):
        shown = listed([" ".join(filter(None, entry)) for entry in lacking], most=_NAMED)
        raise MedsegError(
            f"{project.display(source)} has no answer for {without.sum()} of {len(cases)} test cases of "
            f"{project.display(held.folder)}: {shown}."
            + (f" Of no test case: {found.unused}, such as {found.example}." if found.unused else "")
            + " Answers are called like the test pictures, or lie in folders called like the test sets"
            + ("; --partial scores those that are there." if (~without).any() else ".")
        )
    kept = replace(held, index=held.index[~held.index["case_id"].isin(cases[without]["case_id"])])
    parameters = {"architecture": name, **({"fold": fold} if fold != -1 else {})}
    scored = {"cases": len(cases) - int(without.sum()), "of": len(cases), "unused": found.unused}
    told = {"name": name, "from": project.display(source), "stretched": stretch, **scored}
    run = runs.prepare_run(study.name, BROUGHT, parameters, dataset)
    with runs.bringing(run, study.name, parameters, held, told):
        segment = BroughtSegmenter(run, kind, found, threshold)
        table = evaluator.evaluate(run, segment, kept, tolerance=tolerance, carry=study.facts)
    return run, table


def summary(run: Run) -> str:
    """What a person is told of a run that was brought."""
    told = run.record["brought"]
    scaled = run.record["evaluation"]["scaled"]
    words = [f"{told['cases']} of {told['of']} cases scored" + ("" if not scaled else f", {scaled} maps scaled")]
    if told["unused"]:
        words.append(f"{told['unused']} answers are of no test case and were not used")
    if told["cases"] < told["of"]:
        words.append("so it stands in no comparison: means over other cases say nothing about each other")
    figures = run.record["evaluation"].get("saliency", {}).get("test_sets", {})
    for test_set, values in figures.items():
        shown = listed(
            [f"{key} {value:.3f}" for key, value in values.items() if value is not None and key in MEASURES], most=20
        )
        words.append(f"{test_set}: {shown}")
    return "; ".join(words)
