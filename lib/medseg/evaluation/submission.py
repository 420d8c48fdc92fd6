"""From a trained run to a submission, and from a submission to its scores where the truth is known."""

from pathlib import Path

import numpy as np
import pandas as pd

from medseg import project
from medseg.datasets.frames import read_grey, read_polygons
from medseg.datasets.index import PreparedDataset
from medseg.datasets.polygons import draw_class
from medseg.errors import MedsegError
from medseg.evaluation.common import case_table, check_finite
from medseg.evaluation.overlapping import ClassPredictor, MaskRules
from medseg.experiments.progress import Progress
from medseg.experiments.runs import Run
from medseg.masks import rle, submission
from medseg.metrics.counts import confusion_counts
from medseg.metrics.overlap import with_overlap


def predict_folder(run: Run, predict: ClassPredictor, pictures: Path, out: Path) -> int:
    """Predict every PNG below ``pictures`` and write a submission; pictures need no truth. Returns their number.

    The run's own rules make masks of probabilities; fitted thresholds are those of its evaluation.

    Raises:
        MedsegError: no picture, two of the same name, an unreadable one, or fitted thresholds before an evaluation.
    """
    files = sorted(path for path in pictures.rglob("*") if path.suffix.lower() == ".png")
    names = [path.name for path in files]
    twice = [name for name in names if names.count(name) > 1]
    if not files or twice:
        problem = f"the name {twice[0]} more than once" if twice else "no PNG file"
        raise MedsegError(f"{project.display(pictures)} holds {problem}; a submission names each picture once.")
    classes = run.record["dataset"]["classes"]
    parameters, evaluation = run.record["parameters"], run.record.get("evaluation", {})
    rules = MaskRules(*(parameters[name] for name in ("thresholds", "postprocess", "crf")))
    thresholds = dict.fromkeys(classes, 0.5)
    if rules.thresholds == "fitted":
        if "thresholds" not in evaluation:
            raise MedsegError(f"The thresholds of the run {run.id} are fitted by 3_evaluate: run that first.")
        thresholds = evaluation["thresholds"]
    progress = Progress(run.folder)

    def rows():
        for done, file in enumerate(files, 1):
            picture = read_grey(file)
            maps = predict(picture)
            for number, name in enumerate(classes):
                probability = maps[number]
                check_finite(run, f"{file.name} ({name})", probability)
                mask = rules.mask(rules.probability(picture, probability), thresholds[name])
                yield file.name, name, rle.encode(mask)
            progress.update(done, len(files), f"predicted {done} of {len(files)} pictures")

    submission.write(out, rows())
    return len(files)


def score(path: Path, dataset: PreparedDataset) -> pd.DataFrame:
    """Score a submission on the test split of a dataset of polygons: one row per case and class, as ``cases.csv``.

    Raises:
        MedsegError: a mask of a test picture is missing, or does not fit its picture.
    """
    masks = {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
    counted = []
    for _, case in dataset.split("test").iterrows():
        picture, true = read_polygons(dataset, case)
        for number, name in enumerate(dataset.info["classes"]):
            if (case["image_name"], name) not in masks:
                raise MedsegError(
                    f"{project.display(path)} has no mask of {name} for {case['image_name']}, which is a test picture "
                    f"of {project.display(dataset.folder)}. Was it predicted for another fold?"
                )
            predicted = rle.decode(masks[case["image_name"], name], picture.shape).astype(np.uint8)
            counts = confusion_counts(predicted, draw_class(true, number))._asdict()
            identity = {key: case[key] for key in ("test_set", "case_id", "group")}
            counted.append({**identity, "class": name, **counts})
    return with_overlap(case_table(counted))
