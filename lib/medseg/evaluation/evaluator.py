"""Score a run on every test case, at each picture's own size; the same for all kinds of label and all frameworks."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medseg.datasets.index import PreparedDataset
from medseg.evaluation import measures
from medseg.evaluation.common import case_table, test_cases, write
from medseg.evaluation.detail import Detail
from medseg.evaluation.rules import Segmenter
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle
from medseg.metrics.saliency import RULE, SaliencySummary


class ScoredCase(NamedTuple):
    """One case, scored."""

    case: pd.Series  # its row of the index
    mask: np.ndarray  # see :class:`medseg.evaluation.rules.Segmentation`
    rows: list[dict[str, Any]]  # of ``cases.csv``, one for everything that is scored
    encoded: list[dict[str, str]]  # for each class test_set, image_name, class and rle


def scored_cases(
    segment: Segmenter,
    dataset: PreparedDataset,
    cases: pd.DataFrame,
    *,
    tolerance: float,
    batch_size: int = 1,
    carry: Sequence[str] = (),
    saliency: Mapping[str, SaliencySummary] | None = None,
    detail: Detail | None = None,
) -> Iterator[ScoredCase]:
    """Segment and score cases one after the other; arguments as of :func:`evaluate`.

    ``saliency`` is, of binary labels, the summary of each test set, which is fed; so is ``detail``.
    """
    kind = segment.kind
    for case, label, found in segment.over(dataset, cases, batch_size, None if detail is None else detail.see):
        rows = []
        for number, name in enumerate(kind.scored):
            truth = kind.truth(label, number)
            taken = None
            if saliency is not None and found.probability is not None:
                taken = saliency[case["test_set"]].add(found.probability, truth)
            predicted = kind.part(found.mask, number)
            if detail is not None:
                detail.match(case, name, predicted, truth)
            rows.append(
                {
                    **{key: case[key] for key in ("test_set", "case_id", "group")},
                    "class": name,
                    **measures.score(
                        kind.name,
                        predicted,
                        truth,
                        tolerance=tolerance,
                        saliency_of=taken,
                        spacing=_spacing(case),
                    ),
                    **{column: _known(case[column]) for column in carry if column in case},
                }
            )
        identity = {"test_set": case["test_set"], "image_name": case.get("image_name", case["case_id"])}
        encoded = [{**identity, "class": name, "rle": rle.encode(mask)} for name, mask in kind.pieces(found.mask)]
        yield ScoredCase(case, found.mask, rows, encoded)


def evaluate(
    run: Run,
    segment: Segmenter,
    dataset: PreparedDataset,
    *,
    tolerance: float = 2.0,
    batch_size: int = 1,
    carry: Sequence[str] = (),
) -> pd.DataFrame:
    """Score every test case and write ``cases.csv``, ``predictions/TEST_SET.csv`` and the record's ``evaluation``.

    ``objects.csv`` and ``calibration.csv`` too; see :class:`medseg.evaluation.detail.Detail`.

    Args:
        segment: of the best checkpoint of a finished run; see :func:`medseg.evaluation.rules.segmenter`.
        dataset: the one it was trained on, with the fold held out that it was trained without.
        tolerance: of the surface Dice, pixels of the picture.
        batch_size: pictures through the network at a time.
        carry: columns of the index that go along into ``cases.csv``, where the dataset has them.

    Returns:
        One row per case and class: test_set, case_id, group, class, tp, fp, fn, tn, the measures of the kind of label
        (see :mod:`medseg.evaluation.measures`) and ``carry``. Of binary labels the record has the measures of
        :mod:`medseg.metrics.saliency` for each test set, since not all of them are means over cases.

    Raises:
        MedsegError: the dataset has no test split or is not the run's own, or a network that gives no numbers.
    """
    cases = test_cases(run, dataset)
    started = time.monotonic() - segment.fit_seconds
    progress = Progress(run.folder)
    summaries: dict[str, SaliencySummary] = defaultdict(SaliencySummary)
    detail = Detail(segment.kind)

    rows: list[dict[str, Any]] = []
    encoded: list[dict[str, str]] = []
    binary = segment.kind.name == "binary"
    found = scored_cases(
        segment,
        dataset,
        cases,
        tolerance=tolerance,
        batch_size=batch_size,
        carry=carry,
        saliency=summaries if binary else None,
        detail=detail,
    )
    for done, scored in enumerate(found, 1):
        rows += scored.rows
        encoded += scored.encoded
        progress.update(done, len(cases), f"scored {done} of {len(cases)} test cases")
    table = case_table(rows)
    further = {**segment.described(), "surface_tolerance_px": tolerance}
    if binary:
        figures = {  # JSON has no NaN
            test_set: {name: None if math.isnan(value) else value for name, value in summary.summary().items()}
            for test_set, summary in summaries.items()
        }
        further["saliency"] = {"rule": RULE, "test_sets": figures}
    write(run, table, encoded, cases["case_id"], started, detail.tables(further.get("soft", True)), **further)
    return table


def _spacing(case: pd.Series) -> tuple[float, float] | None:
    """Height and width of a pixel of a case, mm, where the index knows them."""
    known = [_known(case.get(f"spacing_{axis}_mm", "")) for axis in "yx"]
    return None if any(math.isnan(value) for value in known) else (known[0], known[1])


def _known(value: Any) -> Any:
    """A fact of the index: NaN for an empty field, a number where it is one."""
    if value == "":
        return math.nan
    try:
        return float(value)
    except ValueError:
        return value
