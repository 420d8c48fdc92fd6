import cv2
import numpy as np
import pytest

from medseg.studies.gastric.overlay import Overlay, detect, published

SIZE = (320, 240)
WINDOW = (90, 12, 220, 216)  # left, top, width, height


def frame(seed: int, lumen=30) -> np.ndarray:
    """An octagonal window of bright noise with a dark lumen, and a panel that is the same in every frame.

    A thin line of the panel runs up to the window.
    """
    rng = np.random.default_rng(seed)
    inside = window()
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[inside] = rng.integers(90, 220, (int(inside.sum()), 3))
    around = 2 * np.pi * seed / 8
    place = round(200 + 85 * np.cos(around)), round(120 + 80 * np.sin(around))
    cv2.circle(picture, place, lumen, (5, 3, 3), -1)
    picture[~inside] = rng.integers(0, 6, (int((~inside).sum()), 3))
    for line in range(6):
        cv2.putText(picture, f"ID 0{line}", (6, 40 + 24 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (220, 220, 220), 1)
    cv2.rectangle(picture, (6, 200), (60, 216), (60, 80, 100), -1)
    cv2.line(picture, (6, 190), (89, 190), (220, 220, 220), 1)
    return picture


def window() -> np.ndarray:
    left, top, width, height = WINDOW
    right, bottom, cut = left + width, top + height, 30
    corners = [
        (left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut),
        (right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut),
    ]  # fmt: skip
    return cv2.fillPoly(np.zeros(SIZE[::-1], np.uint8), [np.array(corners)], 1) > 0


@pytest.mark.parametrize(("frames", "lumen"), [(1, 30), (8, 55)])
def test_the_window_is_found_and_the_text_is_outside(frames, lumen):
    pictures = [frame(seed, lumen) for seed in range(frames)]
    overlay = detect(pictures)
    inside = window()
    kept = overlay.keep > 0
    assert (kept & ~inside).sum() == 0
    assert (kept & inside).sum() > (0.99 if frames > 1 else 0.95) * inside.sum()
    cleaned = overlay.clean(pictures[0])
    assert (cleaned[~inside] == 0).all()
    np.testing.assert_array_equal(cleaned[kept], pictures[0][kept])


def test_nothing_is_blanked_where_no_window_stands_out():
    full = np.full((60, 80, 3), 120, np.uint8)
    for picture in (full, np.zeros_like(full), frame(0) * 0 + (frame(0) > 200).astype(np.uint8) * 255):
        overlay = detect([picture])
        assert overlay.keep is None
        np.testing.assert_array_equal(overlay.clean(picture), picture)


def test_the_published_geometry_blanks_and_shifts_by_51_pixels():
    picture = np.random.default_rng(0).integers(1, 255, (480, 640, 3), dtype=np.uint8)
    cleaned = published((640, 480)).clean(picture)
    expected = picture.copy()
    expected[:, :142] = 0
    expected[:50, :170] = 0
    np.testing.assert_array_equal(cleaned[:, :-51], expected[:, 51:])
    assert (cleaned[:, -51:] == 0).all()


def test_where_the_picture_is_blanked_the_mask_is_blanked():
    overlay = published((640, 480))
    classes = np.full((480, 640), 3, np.uint8)
    cleaned = overlay.clean(classes)
    np.testing.assert_array_equal(cleaned > 0, overlay.clean(np.full((480, 640, 3), 9, np.uint8))[..., 0] > 0)
    np.testing.assert_array_equal(overlay.blank(classes), cleaned)  # drawn in the cleaned picture's frame already


def test_the_published_geometry_survives_a_picture_narrower_than_its_text():
    picture = np.full((40, 30, 3), 200, np.uint8)
    assert not published((30, 40)).clean(picture).any()
    assert Overlay().kept is None
