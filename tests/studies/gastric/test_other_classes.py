"""Reports on class maps of any number and any names."""

from html import escape

import cv2
import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.datasets import index
from medseg.experiments import runs
from medseg.masks import outlines
from medseg.reporting.comparison import compare
from medseg.studies.gastric import phases, pictures
from medseg.studies.gastric.evaluation import evaluate

PUBLISHED = project.root() / "notebooks" / "gastric" / "published.csv"
NAMES = {2: ["polyp", "ulcer"], 6: ["antrum", "body", "cardia", "fundus", "pylorus", "erosion <1 cm>"]}


@pytest.fixture(params=[2, 6])
def dataset(request, tmp_path):
    """Two pictures for each of six patients, with a disc of one class and a small one of the next."""
    names = NAMES[request.param]
    with index.writing(tmp_path / "discs", study="gastric", name="discs", classes=names) as draft:
        for number in range(12):
            split = ("train", "validation", "test")[number // 4]
            label = np.zeros((48, 64), np.uint8)
            phase = 1 + number % len(names)
            cv2.circle(label, (20, 20), 9, phase, -1)
            cv2.circle(label, (50, 30), 4, 1 + phase % len(names), -1)
            case = f"P{number // 2}/{number}"
            picture = np.repeat(30 * label[..., None], 3, axis=2)
            for kind, pixels in (("images", picture), ("labels", label)):
                draft.write_file(f"{kind}/{case}.png", cv2.imencode(".png", pixels)[1].tobytes())
            files = {"case_id": case, "image": f"images/{case}.png", "label": f"labels/{case}.png"}
            group = {"group": f"P{number // 2}", "split": split, "fold": -1, "phase": phase}
            size = {"width_px": 64, "height_px": 48, "lesion_fraction": 0.1}
            draft.rows.append({**files, **group, "test_set": "test" if split == "test" else "", **size})
    return index.load(tmp_path / "discs")


@pytest.fixture
def run(dataset, tmp_path, monkeypatch):
    """A scored run that finds everything, but takes the last class for the first."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    run = runs.prepare_run("gastric", "2_train", {"architecture": "any", "seed": 1}, dataset)
    with runs.training(run, "gastric", "2_train", {"architecture": "any", "seed": 1}, dataset):
        run.finish()
    evaluate(run, lambda checkpoint: predictor(dataset), dataset)
    history = "epoch,split,loss,dice,iou,learning_rate,seconds\n1,train,1,0,0,0.1,1\n1,validation,1,0,0,,1\n"
    (run.folder / "history.csv").write_text(history)
    return run


def predictor(dataset):
    count = len(dataset.info["classes"])

    def predict(pictures):
        classes = [np.round(p[..., 0] / 30).astype(int) for p in pictures]
        return [np.eye(1 + count, dtype=np.float32)[np.where(c == count, 1, c)].transpose(2, 0, 1) for c in classes]

    return predict


def test_figures_count_every_class_and_call_it_by_its_name(run, dataset):
    names = dataset.info["classes"]
    cases = pd.read_csv(run.folder / "cases.csv")
    assert (cases["true_phase"] == dataset.split("test")["phase"]).all()
    assert cases["predicted_phase"].tolist() == [1 if p == len(names) else p for p in cases["true_phase"]]
    compared = compare([run])
    right = (cases["true_phase"] == cases["predicted_phase"]).sum()
    figure = phases.confusion(compared)
    assert figure.alt == f"Confusion matrix of 4 images; {right} are on its diagonal."
    assert figure.caption.startswith("Class of each test image")
    text = repr(phases.table(compared, PUBLISHED))
    assert "all classes as one lesion" in text
    assert "the probabilities of all classes add up to more than 0.5" in text
    assert "published" not in text.casefold()


def test_every_class_has_its_colour_and_its_name_in_pictures(run, dataset, monkeypatch):
    names = dataset.info["classes"]
    table = repr(pictures.counts(dataset))
    assert all(name in table for name in ["0, no lesion", *names])
    html = pictures.animation(compare([run])).html
    for name, colour in zip(names, outlines.class_colours(len(names)).tolist(), strict=True):
        assert escape(name) in html
        assert "#{:02x}{:02x}{:02x}".format(*colour) in html or "rgb({}, {}, {})".format(*colour) in html
    said = []
    monkeypatch.setattr(pictures.samples, "predictions", lambda data, cases, segment, words: said.append(words))
    pictures.predictions(dataset, dataset.split("test"), None)
    first = dataset.split("test").iloc[0]
    assert said[0](first, np.ones((4, 4), np.uint8)) == f"{names[first['phase'] - 1]}, predicted {names[0]}"
    assert said[0](first, np.zeros((4, 4), np.uint8)).endswith(", predicted none")
