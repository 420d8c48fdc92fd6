import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import MedsegError
from medseg.metrics.overlap import (
    COUNTS,
    OVERLAP,
    binary_iou,
    check_complete,
    dice,
    iou,
    precision,
    recall,
    summarise,
    with_overlap,
)

MEASURES = (dice, iou, precision, recall)


def cases(*rows):
    """Rows of (test_set, case_id, tp, fp, fn, tn)."""
    table = pd.DataFrame(rows, columns=["test_set", "case_id", "tp", "fp", "fn", "tn"])
    return table.assign(**{"group": table["case_id"], "class": "polyp"})


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((2, 1, 3), (4 / 8, 2 / 6, 2 / 3, 2 / 5)),
        ((5, 0, 0), (1, 1, 1, 1)),
        ((0, 4, 0), (0, 0, 0, 0)),  # empty truth, a prediction
        ((0, 0, 4), (0, 0, 0, 0)),  # missed altogether
        ((0, 3, 4), (0, 0, 0, 0)),
        ((0, 0, 0), (math.nan,) * 4),  # nothing there, nothing predicted
    ],
)
def test_measures_by_hand(counts, expected):
    values = [measure(*counts) for measure in MEASURES]
    np.testing.assert_allclose(values, expected)
    assert all(type(value) is float for value in values)


def test_columns_give_what_single_counts_give():
    tp, fp, fn = np.array([2, 5, 0, 0, 0]), np.array([1, 0, 4, 0, 0]), np.array([3, 0, 0, 4, 0])
    for measure in MEASURES:
        single = [measure(*row) for row in zip(tp, fp, fn, strict=True)]
        np.testing.assert_array_equal(measure(pd.Series(tp), pd.Series(fp), pd.Series(fn)), single)


@settings(deadline=None, derandomize=True)
@given(*[st.integers(0, 2**40)] * 3)
def test_measures_agree_with_each_other(tp, fp, fn):
    d, i, p, r = (measure(tp, fp, fn) for measure in MEASURES)
    if tp + fp + fn == 0:
        assert np.isnan([d, i, p, r]).all()
        return
    assert 0 <= i <= d <= 1
    assert d == pytest.approx(2 * i / (1 + i))
    assert d == pytest.approx(2 * p * r / (p + r) if p + r else 0)


def test_with_overlap_adds_the_measures_and_leaves_the_table_alone():
    table = cases(("A", "1", 2, 1, 3, 4), ("A", "2", 0, 0, 0, 10))
    scored = with_overlap(table)
    assert set(scored.columns) == {"test_set", "case_id", "group", "class", *COUNTS, *OVERLAP}
    assert "dice" not in table.columns
    assert scored["dice"].tolist()[0] == 0.5
    assert scored.loc[1, ["dice", "iou", "precision", "recall"]].isna().all()


def test_counts_that_are_missing_are_an_error_not_a_nan():
    table = cases(("A", "1", 2, 1, 3, 4), ("A", "2", 1, 1, 1, 1))
    with pytest.raises(MedsegError, match=r"lacks the column\(s\) fp, tn"):
        with_overlap(table.drop(columns=["fp", "tn"]))
    table["fn"] = table["fn"].astype(float)
    table.loc[1, "fn"] = np.nan
    with pytest.raises(MedsegError, match="no counts for 2"):
        summarise(table)


def test_summary_by_hand():
    table = cases(
        ("B", "1", 2, 1, 3, 94),  # dice 1/2, iou 1/3
        ("B", "2", 9, 0, 0, 91),  # dice 1
        ("B", "3", 0, 0, 0, 100),  # not scored
        ("B", "4", 0, 7, 0, 93),  # false positive, dice 0
        ("B", "5", 0, 0, 6, 94),  # missed, dice 0
        ("B", "6", 0, 2, 6, 92),  # missed with a prediction elsewhere, dice 0
        ("A", "7", 1, 1, 1, 97),
        ("C", "8", 0, 0, 0, 100),
    )
    summary = summarise(table)
    assert summary["test_set"].tolist() == ["B", "A", "C"]
    b, a, c = (row for _, row in summary.iterrows())
    assert b["mean_dice"] == pytest.approx(1.5 / 5)
    assert b["mean_iou"] == pytest.approx((1 / 3 + 1) / 5)
    assert b["pooled_dice"] == pytest.approx(22 / (22 + 10 + 15))
    assert b["pooled_iou"] == pytest.approx(11 / (11 + 10 + 15))
    assert b["sd"] == pytest.approx(math.sqrt((0.2**2 + 0.7**2 + 3 * 0.3**2) / 4))
    assert b[["n_cases", "n_scored", "n_false_positive", "n_missed"]].tolist() == [6, 5, 1, 2]
    assert a["mean_dice"] == 0.5
    assert math.isnan(a["sd"])
    assert c["n_cases"] == 1
    assert c["n_scored"] == 0
    assert math.isnan(c["mean_dice"])
    assert math.isnan(c["pooled_dice"])


def test_summary_of_two_classes_and_of_nothing():
    table = pd.concat([cases(("A", "1", 1, 0, 0, 9)), cases(("A", "1", 0, 1, 1, 8)).assign(**{"class": "ulna"})])
    assert summarise(table)[["test_set", "mean_dice", "n_cases"]].to_numpy().tolist() == [["A", 0.5, 2]]
    assert summarise(table.iloc[:0]).columns.tolist() == summarise(table).columns.tolist()


def test_a_complete_table_passes():
    check_complete(cases(("A", "1", 1, 0, 0, 9), ("A", "2", 1, 0, 0, 9)), ["2", "1"])


def test_each_missing_doubled_or_foreign_case_is_named():
    table = cases(("A", "one", 1, 0, 0, 9), ("A", "one", 1, 0, 0, 9), ("A", "four", 1, 0, 0, 9))
    with pytest.raises(MedsegError) as error:
        check_complete(table, ["one", "two", "three"])
    message = str(error.value)
    assert "not scored: two, three;" in message
    assert "more than once: one (polyp);" in message
    assert "not expected: four." in message


def test_a_case_without_one_of_the_classes_is_named():
    table = pd.concat([cases(("A", "1", 1, 0, 0, 9), ("A", "2", 1, 0, 0, 9)), cases(("A", "1", 1, 0, 0, 9))])
    table["class"] = ["radius", "radius", "ulna"]
    with pytest.raises(MedsegError, match=r"not scored: 2 \(ulna\)"):
        check_complete(table, ["1", "2"])


def test_an_empty_table_and_a_long_list():
    with pytest.raises(MedsegError, match=r"not scored: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 5 more\."):
        check_complete(cases(), map(str, range(15)))


def test_binary_iou_counts_the_background_as_a_class():
    assert binary_iou(2, 1, 1, 96) == pytest.approx((2 / 4 + 96 / 98) / 2)
    assert binary_iou(0, 0, 10, 990) == pytest.approx(0.99 / 2)
    assert math.isnan(binary_iou(0, 0, 0, 100))
