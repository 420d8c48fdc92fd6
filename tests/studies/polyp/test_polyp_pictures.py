"""Pictures of a prepared polyp dataset say what they show."""

import numpy as np
import pytest
import toy_frames

from medseg.datasets.foreground import CleanedMask
from medseg.datasets.frames import Frames
from medseg.studies.polyp import pictures


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toy_frames.make_dataset(tmp_path_factory.mktemp("samples") / "data")


def test_frames_are_shown_with_their_masks(dataset):
    shown = pictures.picture_mask_overlay(Frames(dataset, dataset.index), list(dataset.index["case_id"]))
    assert (shown.kind, shown.mimetype) == ("photo", "image/jpeg")
    assert "3 colonoscopy frames" in shown.alt


def test_cleaning_says_how_many_values_there_were():
    before = np.zeros((60, 80), np.uint8)
    before[20:40, 30:50] = 255
    before[20, 30:50] = 90
    impure = (before > 0) & (before < 255)
    after = (before > 127).astype(np.uint8) * 255
    shown = pictures.mask_before_after(CleanedMask(before, after, impure), "A/1")
    assert "A/1: 1 values between 0 and 255 in 20 pixels (0.4%)" in shown.caption
    pure = pictures.mask_before_after(CleanedMask(after, after, np.zeros_like(impure)), "A/1")
    assert "nothing had to be cleaned" in pure.caption


def test_sizes_are_told_by_split(dataset):
    assert "validation median 2.0 %; A median 3.0 %" in pictures.size_distribution(dataset).alt
