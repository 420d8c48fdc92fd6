"""Objects found and invented, worked out by hand on ten cases."""

import numpy as np
import pandas as pd
import pytest
from ten_cases import masks

from medseg.evaluation import kinds
from medseg.evaluation.detail import Detail
from medseg.metrics.objects import match, summarise
from medseg.metrics.overlap import confusion_counts

#: Of every case pixels, found and best IoU of the true objects, and pixels of the false positives.
EXPECTED = {
    "1": ([16], [True], [1], []),
    "2": ([16], [True], [0.5], []),
    "3": ([4, 16], [False, True], [0, 1], []),
    "4": ([16], [False], [0], [4]),
    "5": ([], [], [], []),
    "6": ([], [], [], [4, 9]),
    "7": ([36], [True], [18 / 36], []),
    "8": ([4], [False], [4 / 100], [100]),
    "9": ([4, 4], [False, False], [4 / 14, 4 / 14], [14]),
    "10": ([8], [True], [8 / 16], []),
}


def test_ten_cases_by_hand():
    for row, truth, predicted in masks():
        found = match(predicted, truth)
        expected = EXPECTED[row["case_id"]]
        assert found.pixels.tolist() == expected[0], row
        assert found.found.tolist() == expected[1], row
        assert found.iou.tolist() == pytest.approx(expected[2]), row
        assert found.false_positives.tolist() == expected[3], row


def test_where_it_lies_in_the_picture_does_not_matter():
    _, truth, predicted = next(iter(masks()))
    large = np.zeros((300, 400), bool), np.zeros((300, 400), bool)
    for whole, part in zip(large, (predicted, truth), strict=True):
        whole[217:227, 330:340] = part
    assert [part.tolist() for part in match(*large)] == [[16], [True], [1.0], []]


def test_masks_of_other_shapes_or_values_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        match(np.zeros((3, 4), bool), np.zeros((4, 3), bool))
    with pytest.raises(ValueError, match="0 and 1"):
        match(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8))


@pytest.fixture
def summary():
    """Of the ten cases, with sizes up to 4 and 16 % of the picture."""
    kind = kinds.of("binary", ["polyp"])
    detail, cases = Detail(kind), []
    for row, truth, predicted in masks():
        detail.match(pd.Series(row), "polyp", predicted, truth)
        cases.append({**row, "class": "polyp", **confusion_counts(predicted, truth)._asdict()})
    return summarise(detail.tables()["objects.csv"], pd.DataFrame(cases), (0.04, 0.16))


def test_the_summary_of_ten_cases_by_hand(summary):
    assert summary.loc["A", ["objects", "found", "frames", "empty_frames", "empty_marked"]].tolist() == [5, 3, 6, 2, 1]
    assert summary.loc["A", "sensitivity"] == pytest.approx(3 / 5)
    assert summary.loc["A", "overlapping"] == pytest.approx(3 / 5)
    assert summary.loc["A", "false_positives"] == pytest.approx(3 / 6)
    assert summary.loc["A", "empty_false_positives"] == pytest.approx(2 / 2)
    assert summary.loc["B", ["objects", "found", "frames", "empty_frames"]].tolist() == [5, 2, 4, 0]
    assert summary.loc["B", "overlapping"] == pytest.approx(2 / 5)
    assert summary.loc["B", "false_positives"] == pytest.approx(2 / 4)
    assert np.isnan(summary.loc["B", "empty_false_positives"])


def test_sizes_of_ten_cases_by_hand(summary):
    # A: one of 4 pixels missed, three of four of 16 found. B: three of 4 missed, one of 8 found, one of 36 found.
    assert summary.loc["A", ["sensitivity_0", "sensitivity_1"]].tolist() == [0, 3 / 4]
    assert np.isnan(summary.loc["A", "sensitivity_2"])
    assert summary.loc["B", ["sensitivity_0", "sensitivity_1", "sensitivity_2"]].tolist() == [0, 1, 1]
