"""From probabilities to masks by a run's rules, which what is shown and what is scored have in common."""

import numpy as np
import pytest

from medseg.datasets.frames import Frames, read_polygons
from medseg.errors import MedsegError
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import MaskRules, segmenter
from medseg.masks import crf, rle, submission


def score(run, predict, dataset):
    return evaluate(run, segmenter(run, predict, dataset), dataset, tolerance=1.0)


def test_unknown_rules_are_refused():
    with pytest.raises(MedsegError, match="expected fixed or fitted"):
        MaskRules(thresholds="best")
    with pytest.raises(MedsegError, match="expected a probability from 0 to 1"):
        MaskRules(threshold=50)


def test_a_run_from_before_these_parameters_means_what_it_meant():
    assert MaskRules.of({"architecture": "unet"}) == MaskRules("fixed", "none", False, 0.5)
    assert MaskRules.of({"postprocess": "both", "thresholds": "fitted"}, 0.4) == MaskRules("fitted", "both", False, 0.4)


# fitted thresholds


def test_thresholds_are_fitted_on_the_validation_cases_alone(run_of, polygon_dataset, truths):
    """Class a is predicted too timidly in validation and test; a fit on the test cases would give another value."""
    seen, run = [], run_of(polygon_dataset, thresholds="fitted")

    def predict(picture):
        seen.append(picture.tobytes())
        maps = 0.9 * truths[picture.tobytes()].astype(np.float32)
        maps[0] *= 0.3
        return maps

    table = score(run, predict, polygon_dataset)
    assert (table.loc[table["class"] == "a", "dice"] == 1).all()
    evaluation = run.record["evaluation"]
    assert evaluation["thresholds"]["a"] < 0.27 < 0.5 == evaluation["thresholds"]["b"]
    assert "validation cases alone" in evaluation["rule"]
    fold = [row for _, row in polygon_dataset.index.iterrows() if row["split"] == "validation"]
    assert seen[:2] == [read_polygons(polygon_dataset, row)[0].tobytes() for row in fold]
    assert len(seen) == 4  # the training cases are never looked at


def test_one_class_has_one_fitted_threshold(run_of, discs, brightness):
    run = run_of(discs, thresholds="fitted")
    table, fixed = score(run, brightness, discs), score(run_of(discs), brightness, discs)
    evaluation = run.record["evaluation"]
    assert evaluation["thresholds"] == {"polyp": evaluation["threshold"]}
    assert evaluation["rule"] == "probability above a threshold fitted on the validation cases alone"
    assert evaluation["threshold"] < 0.5
    assert table["dice"].mean() > fixed["dice"].mean() + 0.05


def test_the_foreground_of_a_class_map_has_one_fitted_threshold(run_of, phase_dataset, phases):
    def timid(pictures):
        found = phases(pictures)
        for probabilities in found:
            probabilities[1:] *= 0.4
            probabilities[0] = 1 - probabilities[1:].sum(0)
        return found

    run = run_of(phase_dataset, thresholds="fitted")
    table = score(run, timid, phase_dataset)
    assert (table["dice"].dropna() == 1).all()
    assert run.record["evaluation"]["threshold"] < 0.4
    assert (score(run_of(phase_dataset), timid, phase_dataset)["dice"].dropna() == 0).all()


# post-processing and CRF


def test_postprocessing_fixes_the_mask_before_it_is_counted(run_of, polygon_dataset, truths):
    def holed(picture):
        maps = truths[picture.tobytes()].astype(np.float32).copy()
        maps[0, 15:18, 15:18] = 0
        maps[1, 75, 5] = 1
        return maps

    plain = score(run_of(polygon_dataset), holed, polygon_dataset)
    assert (plain.loc[plain["class"] == "a", "fn"] == 9).all()
    fixed = score(run_of(polygon_dataset, postprocess="both"), holed, polygon_dataset)
    assert (fixed["dice"].dropna() == 1).all()


def test_one_class_and_class_maps_are_postprocessed_too(run_of, discs, phase_dataset, brightness, phases):
    def speckled(predict):
        def predicted(pictures):
            found = predict(pictures)
            for probabilities in found:
                probabilities[..., 1, 1] = 0.9  # binary: polyp; class map: more than one phase
            return found

        return predicted

    for dataset, predict in ((discs, brightness), (phase_dataset, phases)):
        plain = score(run_of(dataset), speckled(predict), dataset)
        largest = score(run_of(dataset, postprocess="largest"), speckled(predict), dataset)
        present = plain["tp"] > 0
        assert present.any()
        assert ((plain["fp"] - largest["fp"])[present] == 1).all()


def test_the_crf_is_asked_with_the_picture_and_what_it_says_is_thresholded(run_of, discs, brightness, monkeypatch):
    run = run_of(discs, crf=True)
    monkeypatch.setattr(crf, "require", lambda: None)
    monkeypatch.setattr(crf, "refine", lambda picture, probability: np.where(picture[..., 0] > 90, 0.8, 0.1))
    table = score(run, brightness, discs)
    for number, (picture, truth) in enumerate(Frames(discs, discs.split("test"))):
        assert table["tp"][number] == np.count_nonzero((picture[..., 0] > 90) & (truth == 1))


# shown is what is scored


@pytest.mark.parametrize(
    "rules",
    [{}, {"thresholds": "fitted"}, {"postprocess": "both"}, {"thresholds": "fitted", "postprocess": "largest"}],
)
def test_masks_of_a_picture_are_those_that_are_scored(
    run_of, discs, polygon_dataset, phase_dataset, brightness, right, phases, rules
):
    for dataset, predict in ((discs, brightness), (polygon_dataset, right), (phase_dataset, phases)):
        run = run_of(dataset, **rules)
        segment = segmenter(run, predict, dataset, threshold=0.3)
        evaluate(run, segment, dataset)
        written = {}
        for path in (run.folder / "predictions").iterdir():
            written |= {(row.image_name, row.class_name): row.rle for row in submission.read(path)}
        for _, case in dataset.split("test").iterrows():
            shown = segment(segment.kind.read(dataset, case)[0])
            assert shown.mask.dtype == np.uint8
            assert (shown.probability is None) == (segment.kind.name == "overlapping")
            for name, mask in segment.kind.pieces(shown.mask):
                assert rle.encode(mask) == written[case.get("image_name", case["case_id"]), name]
