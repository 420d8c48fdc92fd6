"""Outlines of masks: where they run, what they leave alone, whose colours they have."""

import cv2
import numpy as np

from medseg.masks import outlines


def test_outline_and_hole_are_drawn_in_their_colour_and_the_rest_stays():
    mask = np.zeros((60, 80), bool)
    mask[10:50, 20:70] = True
    mask[25:35, 40:50] = False
    picture = np.zeros((60, 80, 3), np.uint8)
    outlines.draw(picture, mask, (10, 200, 30))
    border = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) == 0)
    near = cv2.dilate(border.astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert not picture[~near].any()
    assert (picture[border] == (10, 200, 30)).all(axis=1).mean() > 0.9
    assert (picture[25, 39:51] > 0).any(axis=1).all(), "the hole's upper edge"


def test_a_mask_of_bytes_or_none_at_all_and_a_part_of_a_picture():
    picture = np.zeros((40, 80, 3), np.uint8)
    outlines.draw(picture, np.zeros((40, 80), np.uint8), outlines.TRUTH)
    assert not picture.any()
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 3
    outlines.draw(picture[:, 40:], mask, outlines.PREDICTED)
    assert not picture[:, :40].any()
    assert (picture[10, 50] == outlines.PREDICTED).all()
