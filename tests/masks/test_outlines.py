"""Masks on pictures: where outlines run, what they leave alone, whose colours they and classes have."""

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


def test_an_overlap_is_drawn_in_the_mean_of_its_colours():
    masks = np.zeros((2, 1, 3), np.uint8)
    masks[0, 0, :2] = 1
    masks[1, 0, 1:] = 1
    drawn = outlines.tint(np.full((1, 3), 100, np.uint8), masks)
    first, second = outlines.class_colours(2).astype(float)
    assert np.allclose(drawn[0, 0], 50 + first / 2, atol=1)
    assert np.allclose(drawn[0, 1], 50 + (first + second) / 4, atol=1)


def test_colours_of_classes_differ():
    for count in (0, 1, 4, 5, 29):
        assert len({tuple(colour) for colour in outlines.class_colours(count).tolist()}) == count
