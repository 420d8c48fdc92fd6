"""From a trained run to a submission, and from a submission to its scores where the truth is known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project, registry
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.evaluation.averaging import Average
from medseg.evaluation.common import case_table
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle, submission
from medseg.metrics.overlap import confusion_counts, with_overlap
from medseg.names import listed


def predict_folder(runs: Sequence[Run], predictors: Sequence[kinds.Predictor], pictures: Path, out: Path) -> str:
    """Predict every PNG below ``pictures`` and write a submission; pictures need no truth.

    The run's own rules make masks of probabilities; fitted thresholds, and what fixed means, are those of its
    evaluation. Several runs are averaged; see :class:`medseg.evaluation.averaging.Average`.

    Returns:
        In words how many pictures, by how many networks, and which of them belong to the runs' own data.

    Raises:
        MedsegError: no picture, two of the same name, an unreadable one, fitted thresholds before an evaluation, runs
            that cannot be averaged, or a picture of their own data that none of them held out.
    """
    files = sorted(path for path in pictures.rglob("*") if path.suffix.lower() == ".png")
    names = [path.name for path in files]
    twice = [name for name in names if names.count(name) > 1]
    if not files or twice:
        problem = f"the name {twice[0]} more than once" if twice else "no PNG file"
        raise MedsegError(f"{project.display(pictures)} holds {problem}; a submission names each picture once.")
    segment = Average(runs, predictors)
    progress = Progress(runs[0].folder)

    def rows() -> Iterator[tuple[str, str, str]]:
        for done, file in enumerate(files, 1):
            found = segment(segment.read(file), file.name)
            for name, mask in segment.kind.pieces(found.mask):
                yield file.name, name, rle.encode(mask)
            progress.update(done, len(files), f"predicted {done} of {len(files)} pictures")

    submission.write(out, rows())
    said = [f"{len(files)} pictures" + (f", mean of {len(runs)} networks" if len(runs) > 1 else "")]
    if segment.own:
        said.append(
            f"{len(segment.own)} of them belong to the data that the networks were trained on ({listed(segment.own)}): "
            "each is predicted only by the network whose fold held it out"
        )
    if segment.unchecked:
        said.append(f"not checked whether they are of the data that the networks were trained on: {segment.unchecked}")
    return "; ".join(said)


def score(path: Path, dataset: PreparedDataset) -> pd.DataFrame:
    """Score a submission on the test split of a dataset: one row per case and class, as ``cases.csv``.

    A :class:`MedsegError` where a mask of a test picture is missing, or does not fit its picture.
    """
    kind = kinds.of(registry.find(dataset.info["study"]).label, dataset.info["classes"])
    masks = {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
    counted = []
    for _, case in dataset.split("test").iterrows():
        picture, label = kind.read(dataset, case)
        image_name = case.get("image_name", case["case_id"])
        for name, truth in kind.true_pieces(label):
            if (image_name, name) not in masks:
                raise MedsegError(
                    f"{project.display(path)} has no mask of {name} for {image_name}, which is a test picture "
                    f"of {project.display(dataset.folder)}. Was it predicted for another fold?"
                )
            predicted = rle.decode(masks[image_name, name], picture.shape[:2]).astype(np.uint8)
            identity = {key: case[key] for key in ("test_set", "case_id", "group")}
            counted.append({**identity, "class": name, **confusion_counts(predicted, truth)._asdict()})
    return with_overlap(case_table(counted))
