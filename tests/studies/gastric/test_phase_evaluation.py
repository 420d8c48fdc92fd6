"""Scoring lesion phases: segmentation and the phase of each image, for every checkpoint and split."""

import numpy as np
import pandas as pd
import pytest

from medseg import project
from medseg.errors import MedsegError
from medseg.experiments import runs
from medseg.masks import rle
from medseg.studies.gastric.evaluation import CHECKPOINTS, evaluate


@pytest.fixture
def run(phase_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    question = {"architecture": "any", "seed": 1}
    run = runs.prepare_run("gastric", "2_train", question, phase_dataset)
    with runs.training(run, "gastric", "2_train", question, phase_dataset):
        run.finish()
    return run


def predictor_of(checkpoint):
    """Right but for the checkpoint latest, which finds nothing."""

    def predict(pictures):
        found = []
        for picture in pictures:
            classes = np.round(picture[..., 0] / 50).astype(int) * (checkpoint != "latest")
            found.append(np.eye(5, dtype=np.float32)[classes].transpose(2, 0, 1))
        return found

    return predict


def test_every_case_of_every_split_is_scored_by_every_checkpoint(run, phase_dataset):
    cases = evaluate(run, predictor_of, phase_dataset)
    assert list(cases["case_id"]) == list(phase_dataset.split("test")["case_id"])
    assert (cases["dice"].dropna() == 1).all()
    assert cases["dice"].isna().sum() == 2  # pictures without a lesion, rightly left empty
    table = pd.read_csv(run.folder / "checkpoints.csv")
    assert len(table) == len(CHECKPOINTS) * len(phase_dataset.index)
    right = table[table["checkpoint"] != "latest"]
    assert (right["true_phase"] == right["predicted_phase"]).all()
    assert (right["class_accuracy"] == 1).all()
    latest = table[table["checkpoint"] == "latest"]
    assert (latest["tp"] == 0).all()
    assert (latest["predicted_phase"] == 0).all()
    np.testing.assert_array_equal(latest["class_accuracy"], latest["true_phase"] == 0)
    assert run.evaluated


def test_predictions_hold_a_mask_for_each_phase(run, phase_dataset):
    evaluate(run, predictor_of, phase_dataset)
    written = pd.read_csv(run.folder / "predictions" / "test.csv", keep_default_na=False)
    rows = phase_dataset.split("test")
    assert len(written) == 4 * len(rows)
    first = rows.iloc[0]
    mask = written[(written["image_name"] == first["case_id"]) & (written["rle"] != "")]
    assert list(mask["class"]) == [f"phase-{first['phase']}"]
    assert rle.decode(mask["rle"].iloc[0], (48, 64)).sum() > 200


def test_outlines_are_measured_and_a_miss_is_counted(run, phase_dataset):
    cases = evaluate(run, lambda checkpoint: predictor_of("latest"), phase_dataset, tolerance=1)
    present = cases["true_phase"] > 0
    assert np.allclose(cases.loc[present, "hd95"], np.hypot(48, 64))
    assert (cases.loc[present, "surface_dice"] == 0).all()
    assert cases.loc[~present, "hd95"].isna().all()
    assert run.record["evaluation"]["surface_tolerance_px"] == 1


def test_thresholds_are_fitted_for_each_checkpoint(run, phase_dataset):
    def timid(checkpoint):
        certainty = {"best_loss": 0.3, "best_iou": 0.4, "latest": 0.8}[checkpoint]

        def predict(pictures):
            maps = [certainty * found for found in predictor_of("best_loss")(pictures)]
            for probabilities in maps:
                probabilities[0] = 1 - probabilities[1:].sum(0)
            return maps

        return predict

    run.update(parameters={**run.record["parameters"], "thresholds": "fitted"})
    cases = evaluate(run, timid, phase_dataset)
    assert (cases["dice"].dropna() == 1).all()
    table = pd.read_csv(run.folder / "checkpoints.csv")
    thresholds = table.groupby("checkpoint")["threshold"].first()
    assert thresholds["best_loss"] < 0.3 <= thresholds["best_iou"] < 0.4 < thresholds["latest"] == 0.5
    evaluation = run.record["evaluation"]
    assert evaluation["thresholds"] == {"lesion": thresholds["best_loss"]}
    assert f"more than {thresholds['best_loss']}" in evaluation["phase_rule"]


def test_a_network_that_diverged_is_named(run, phase_dataset):
    def broken(checkpoint):
        return lambda pictures: [np.full((5, *p.shape[:2]), np.nan, np.float32) for p in pictures]

    with pytest.raises(MedsegError, match="gives no number for P4-0"):
        evaluate(run, broken, phase_dataset)
