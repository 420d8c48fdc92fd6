"""The registry of case measures: what it computes, and what it tells about each measure."""

import math

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation import measures
from medseg.metrics.overlap import OVERLAP, with_overlap
from medseg.metrics.saliency import MEASURES as SALIENCY
from medseg.metrics.saliency import SaliencySummary


def square(top, left, side, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def outline(mask):
    """Boundary pixels, one by one."""
    framed = np.pad(mask, 1)
    return [
        (row, column)
        for row, column in np.argwhere(mask)
        if not all(framed[row + 1 + down, column + 1 + right] for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    ]


def all_distances(one, other):
    return [min(math.dist(here, there) for there in other) for here in one]


@pytest.mark.parametrize("kind", measures.KINDS)
def test_every_kind_has_counts_overlap_and_outlines(kind):
    found = measures.score(kind, square(3, 4, 6), square(4, 4, 6), tolerance=1)
    assert list(found)[:4] == ["tp", "fp", "fn", "tn"]
    assert [name for name in found if name in (*OVERLAP, "hd95", "surface_dice")] == [*OVERLAP, "hd95", "surface_dice"]
    assert (found["tp"], found["fp"], found["fn"]) == (30, 6, 6)
    assert ("binary_iou" in found) == (kind != "overlapping")
    assert ("s_measure" in found) == (kind == "binary")


def test_overlap_equals_that_of_whole_tables():
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = [
        {**measures.score("overlapping", rng.random((5, 6)) > 0.7, rng.random((5, 6)) > 0.8, tolerance=1), "case_id": n}
        for n in range(30)
    ]
    table = pd.DataFrame(rows)
    expected = with_overlap(table.drop(columns=list(OVERLAP)))
    pd.testing.assert_frame_equal(table[list(OVERLAP)], expected[list(OVERLAP)])


def test_distances_equal_brute_force_over_the_outlines():
    rng = np.random.default_rng(1)
    for _ in range(20):
        predicted = square(*rng.integers(0, 9, 2), int(rng.integers(2, 9)))
        truth = square(*rng.integers(0, 9, 2), int(rng.integers(2, 9)))
        found = measures.score("binary", predicted, truth, tolerance=1.5)
        one, other = outline(predicted), outline(truth)
        there, back = all_distances(one, other), all_distances(other, one)
        assert found["hd95"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
        near = sum(distance <= 1.5 for distance in there + back)
        assert found["surface_dice"] == pytest.approx(near / (len(one) + len(other)))


@pytest.mark.parametrize("kind", measures.KINDS)
def test_a_miss_counts_with_the_diagonal_and_nothing_at_all_is_left_out(kind):
    nothing = np.zeros((30, 40), bool)
    missed = measures.score(kind, nothing, square(2, 2, 5, nothing.shape), tolerance=2)
    assert missed["hd95"] == 50
    assert missed["surface_dice"] == missed["dice"] == missed["recall"] == 0
    absent = measures.score(kind, nothing, nothing, tolerance=2)
    assert all(math.isnan(absent[measure.name]) for measure in measures.of_kind(kind) if not measure.in_mm)


@pytest.mark.parametrize("kind", measures.KINDS)
def test_distances_in_millimetres_follow_the_size_of_a_pixel_on_each_axis(kind):
    here, there = square(3, 4, 6), square(6, 4, 6)  # three rows apart
    found = measures.score(kind, here, there, tolerance=1, spacing=(0.5, 0.2))
    assert found["hd95"] == pytest.approx(3)
    assert found["hd95_mm"] == pytest.approx(1.5)
    across = measures.score(kind, here, square(3, 7, 6), tolerance=1, spacing=(0.5, 0.2))
    assert across["hd95_mm"] == pytest.approx(0.6)
    missed = measures.score(kind, np.zeros((30, 40), bool), square(2, 2, 5, (30, 40)), tolerance=1, spacing=(0.4, 0.4))
    assert missed["hd95_mm"] == pytest.approx(20)
    assert "hd95_mm" not in measures.score(kind, here, there, tolerance=1)


def test_the_polyp_fields_measures_are_taken_over():
    probability, truth = square(3, 4, 6) * np.float32(0.8), square(4, 4, 6)
    expected = SaliencySummary().add(probability, truth)
    found = measures.score("binary", probability > 0.5, truth, tolerance=1, saliency_of=expected)
    assert {name: found[name] for name in SALIENCY} == expected


def test_every_value_lies_in_the_range_that_the_registry_states():
    rng = np.random.default_rng(2)
    for _ in range(20):
        truth, probability = rng.random((9, 9)) > 0.6, rng.random((9, 9)).astype(np.float32)
        scores = SaliencySummary().add(probability, truth)
        found = measures.score("binary", probability > 0.5, truth, tolerance=1, saliency_of=scores)
        for measure in measures.of_kind("binary"):
            if measure.in_mm:
                continue
            assert measure.low <= found[measure.name] <= measure.high


def test_the_registry_tells_direction_unit_and_what_is_tested():
    assert len({measure.name for measure in measures.MEASURES}) == len(measures.MEASURES)
    assert [m.name for m in measures.MEASURES if m.lower_is_better] == ["hd95", "hd95_mm", "mae"]
    assert [m.name for m in measures.MEASURES if not m.tested] == ["e_max"]
    assert measures.named("hd95").heading == "HD95, px"
    assert measures.named("hd95_mm").heading == "HD95, mm"
    assert measures.named("dice").heading == "Dice"
    assert [m.name for m in measures.MEASURES if m.kinds == ("binary",)] == list(SALIENCY)


def test_unknown_names_are_refused_with_the_choices():
    with pytest.raises(MedsegError, match="no measure 'hausdorff'.*hd95"):
        measures.named("hausdorff")
    with pytest.raises(MedsegError, match="no kind of label 'volume'.*class_map"):
        measures.of_kind("volume")
