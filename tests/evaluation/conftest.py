"""A finished run over each kind of label, and predictors that need no network."""

import cv2
import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.datasets import index
from medseg.datasets.frames import read_polygons
from medseg.datasets.polygons import rasterise
from medseg.experiments import runs

SIZES = {"A": [(40, 50), (48, 36), (40, 50)], "B": [(60, 60), (32, 64)]}


@pytest.fixture
def discs(tmp_path):
    """Grey discs, brighter than their ground, as polyps; the last case of A shows none."""
    with index.writing(tmp_path / "data", study="polyp", name="toy", classes=["polyp"], protocol="toy") as draft:
        cases = [("train", "", (40, 40)), ("validation", "", (44, 40))]
        cases += [("test", name, size) for name, sizes in SIZES.items() for size in sizes]
        for number, (split, test_set, (height, width)) in enumerate(cases, -1):
            mask = np.zeros((height, width), np.uint8)
            if number != len(SIZES["A"]):
                cv2.circle(mask, (width // 2, height // 2), 7 + max(0, number), 255, -1)
            picture = cv2.GaussianBlur(mask // 2 + 40, (0, 0), 2)
            for kind, pixels in (("images", picture), ("labels", mask)):
                draft.write_file(f"{kind}/{number}.png", cv2.imencode(".png", pixels)[1].tobytes())
            files = {"image": f"images/{number}.png", "label": f"labels/{number}.png"}
            names = {"case_id": f"a/{number}", "group": f"g{number}", "split": split, "fold": -1}
            draft.rows.append({**names, **files, "test_set": test_set})
    return index.load(tmp_path / "data")


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """A function: the finished run of a dataset's study, with parameters."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))

    def finished(dataset, **parameters):
        question, study = {"architecture": "any", "seed": 1, **parameters}, dataset.info["study"]
        run = runs.prepare_run(study, "2_train", question, dataset)
        with runs.training(run, study, "2_train", question, dataset):
            run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
            run.finish()
        return run

    return finished


@pytest.fixture
def truths(polygon_dataset):
    """True masks (3, H, W) by the picture's bytes, so that a predictor can look them up."""
    found = {}
    for _, row in polygon_dataset.index.iterrows():
        picture, true = read_polygons(polygon_dataset, row)
        found[picture.tobytes()] = rasterise(true, 3)
    return found


@pytest.fixture
def right(truths):
    """A predictor of overlapping classes that is always right."""
    return lambda picture: truths[picture.tobytes()].astype(np.float32)


@pytest.fixture
def brightness():
    """A predictor that takes bright for polyp."""
    return lambda pictures: [picture[..., 0].astype(np.float32) / 255 for picture in pictures]


@pytest.fixture
def phases():
    """A predictor of class maps that reads the phase off the red channel, 0.9 sure."""

    def predict(pictures):
        found = []
        for picture in pictures:
            classes = np.round(picture[..., 0] / 50).astype(int)
            sure = np.eye(5, dtype=np.float32)[classes].transpose(2, 0, 1)
            found.append(0.9 * sure + np.float32(0.02))
        return found

    return predict
