import pickle

import cv2
import numpy as np
import pandas as pd
import pytest

from medseg.datasets.augmentation.presets import PRESETS, build_augmentation, reader
from medseg.datasets.augmentation.warp import Warp, generator, plain_resize
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

STILL = {"rotation": 0, "shear": 0, "scale": (1, 1), "shift": 0, "flip": False, "brightness": 0, "contrast": 0}


def ellipse(height, width):
    mask = np.zeros((height, width), np.uint8)
    centre = (round(width * 0.45), round(height * 0.55))
    return cv2.ellipse(mask, centre, (width // 5, height // 7), 30, 0, 360, 1, -1)


def picture_of(mask):
    return cv2.merge([mask * 255] * 3)


def noise(height, width):
    """A smooth colour picture."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(values, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


def centroid(weights):
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


SIZES = pytest.mark.parametrize(
    ("source", "resolution"),
    [((288, 384), 256), ((500, 574), (128, 160)), ((966, 1225), 256), ((120, 150), 256)],
)


@SIZES
def test_warped_picture_and_mask_keep_in_register(source, resolution):
    mask, warp = ellipse(*source), Warp(resolution, brightness=0, contrast=0)
    offsets = []
    for index in range(20):
        image, warped = warp(picture_of(mask), mask, generator(0, 0, index))
        seen = image[..., 0] > 127
        assert (seen & (warped == 1)).sum() / (seen | (warped == 1)).sum() > 0.98
        offsets.append(centroid(image[..., 0] / 255) - centroid(warped))
    # A half-pixel slip between the two would show here, though hardly in the overlap.
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.05


@SIZES
def test_resized_picture_and_mask_keep_in_register(source, resolution):
    image, mask = plain_resize(picture_of(ellipse(*source)), ellipse(*source), resolution)
    assert np.abs(centroid(image[..., 0] / 255) - centroid(mask)).max() < 0.1


@SIZES
def test_a_warp_that_stays_still_is_the_plain_resize(source, resolution):
    image, mask = noise(*source), ellipse(*source)
    warped, warped_mask = Warp(resolution, **STILL)(image, mask, generator(0, 0, 0))
    plain, plain_mask = plain_resize(image, mask, resolution)
    np.testing.assert_array_equal(warped_mask, plain_mask)
    edge = 4  # enlarged, the outermost pixels mix with what lies outside
    difference = warped[edge:-edge, edge:-edge].astype(int) - plain[edge:-edge, edge:-edge]
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() < 8


@pytest.mark.parametrize("values", [(0, 1), (0, 7, 255)])
def test_no_new_value_appears_in_a_mask(values):
    rng = np.random.default_rng(0)
    mask = rng.choice(values, (90, 70)).astype(np.uint8)
    image = noise(90, 70)
    for size in (32, 64, 200):
        for index in range(5):
            assert set(np.unique(Warp(size)(image, mask, generator(1, 0, index))[1])) == set(values)
        assert set(np.unique(plain_resize(image, mask, size)[1])) == set(values)


def test_shapes_and_types():
    image, mask = noise(60, 80), ellipse(60, 80)
    for result in (Warp((40, 56))(image, mask, generator(0, 0, 0)), plain_resize(image, mask, (40, 56))):
        assert [(part.shape, part.dtype) for part in result] == [((40, 56, 3), np.uint8), ((40, 56), np.uint8)]
    image_before, mask_before = image.copy(), mask.copy()
    Warp(60)(image, mask, generator(0, 0, 0))
    np.testing.assert_array_equal(image, image_before)
    np.testing.assert_array_equal(mask, mask_before)


def test_a_sample_repeats_for_seed_epoch_and_index_alone():
    image, mask, warp = noise(60, 80), ellipse(60, 80), Warp(48)
    reference = warp(image, mask, generator(3, 2, 1))
    again = pickle.loads(pickle.dumps(warp))(image, mask, generator(3, 2, 1))  # as a worker gets it
    for one, other in zip(reference, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ((4, 2, 1), (3, 3, 1), (3, 2, 0), (1, 2, 3)):
        assert not np.array_equal(reference[0], warp(image, mask, generator(*key))[0]), key


def test_flips_mirror_picture_and_mask_alike_and_come_in_all_four_ways():
    image, mask = noise(64, 96), ellipse(64, 96)
    warp = Warp((64, 96), **{**STILL, "flip": True})
    ways = {"none": np.s_[:, :], "columns": np.s_[:, ::-1], "rows": np.s_[::-1], "both": np.s_[::-1, ::-1]}
    seen = []
    for index in range(40):
        flipped, flipped_mask = warp(image, mask, generator(0, 0, index))
        (way,) = [name for name, view in ways.items() if np.array_equal(flipped, image[view])]
        np.testing.assert_array_equal(flipped_mask, mask[ways[way]])
        seen.append(way)
    assert all(seen.count(way) >= 4 for way in ways)


def test_rotation_keeps_the_shape_and_turns_within_its_limit():
    mask = np.zeros((200, 200), np.uint8)
    mask[95:105, 40:160] = 1
    warp = Warp(200, **{**STILL, "rotation": 25})
    angles = []
    for index in range(60):
        turned = warp(picture_of(mask), mask, generator(0, 0, index))[1]
        assert np.count_nonzero(turned) == pytest.approx(1200, rel=0.02)
        rows, columns = np.nonzero(turned)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    assert -25.5 < min(angles) < -18
    assert 18 < max(angles) < 25.5


def test_scale_and_shear_act_as_named():
    mask = np.zeros((200, 200), np.uint8)
    mask[80:120, 80:120] = 1
    image = picture_of(mask)

    def changed(**parameters):
        return [Warp(200, **{**STILL, **parameters})(image, mask, generator(0, 0, i))[1] for i in range(40)]

    areas = [warped.sum() / mask.sum() for warped in changed(scale=(0.5, 1.5))]
    assert 0.25 * 0.95 < min(areas) < 0.5
    assert 1.8 < max(areas) < 2.25 * 1.05
    widths = [np.ptp(np.nonzero(warped)[1]) + 1 for warped in changed(shear=20)]
    assert max(widths) == pytest.approx(40 + 40 * np.tan(np.radians(20)), abs=3)
    assert min(widths) >= 40


def test_shift_is_a_fraction_of_each_side():
    mask = ellipse(100, 300)
    warp = Warp((100, 300), **{**STILL, "shift": 0.1})
    moved = [warp(picture_of(mask), mask, generator(0, 0, index))[1] for index in range(40)]
    rows, columns = np.abs([centroid(warped) - centroid(mask) for warped in moved]).max(axis=0)
    assert 7 < rows < 10.5
    assert 21 < columns < 30.5


def test_what_lies_outside_is_zero():
    image, mask = np.full((100, 100, 3), 200, np.uint8), np.ones((100, 100), np.uint8)
    small, small_mask = Warp(100, **{**STILL, "scale": (0.5, 0.5)})(image, mask, generator(0, 0, 0))
    expected = np.zeros((100, 100), np.uint8)
    expected[25:75, 25:75] = 1
    np.testing.assert_array_equal(small_mask, expected)
    assert (small[:24] == 0).all()
    assert (small[26:74, 26:74] == 200).all()


def test_brightness_and_contrast_change_the_picture_alone_and_by_one_table():
    image, mask = noise(64, 64), ellipse(64, 64)
    means, spreads = [], []
    for index in range(30):
        warp = Warp(64, **{**STILL, "brightness": 0.2, "contrast": 0.2})
        toned, same = warp(image, mask, generator(0, 0, index))
        np.testing.assert_array_equal(same, mask)
        table = {int(before): set() for before in np.unique(image)}
        for before, after in zip(image.ravel().tolist(), toned.ravel().tolist(), strict=True):
            table[before].add(after)
        assert all(len(after) == 1 for after in table.values())
        levels = [min(table[before]) for before in sorted(table)]
        assert levels == sorted(levels)
        means.append(toned.mean() / image.mean())
        spreads.append(toned.std() / image.std())
    assert min(means) < 0.9
    assert max(means) > 1.1
    assert min(spreads) < 0.85
    assert max(spreads) > 1.1


def test_presets_are_built_by_name():
    image, mask = noise(60, 80), ellipse(60, 80)
    for one, other in zip(
        build_augmentation("none", 32)(image, mask, generator(0, 0, 0)), plain_resize(image, mask, 32), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for name in PRESETS:
        assert build_augmentation(name, (32, 48))(image, mask, generator(0, 0, 0))[1].shape == (32, 48)
    with pytest.raises(MedsegError, match=r"no augmentation 'wrap'.*none, warp"):
        build_augmentation("wrap", 32)


def test_a_mask_of_another_size_or_no_resolution_is_refused():
    for call in (Warp(32), build_augmentation("none", 32)):
        with pytest.raises(ValueError, match="differ in size"):
            call(noise(60, 80), ellipse(80, 60), generator(0, 0, 0))
    with pytest.raises(ValueError, match="must be positive"):
        Warp((32, 0))


@SIZES
def test_a_picture_kept_smaller_gives_the_same_pixels(source, resolution):
    mask, warp = ellipse(*source), Warp(resolution)
    small, same = warp.shrunk(noise(*source), mask)
    assert same is mask
    for index in range(5):
        plain, kept = (warp(image, mask, generator(1, 2, index)) for image in (noise(*source), small))
        for one, other in zip(plain, kept, strict=True):
            np.testing.assert_array_equal(one, other)


def test_large_pictures_are_kept_as_small_as_the_augmentation_needs_them(tmp_path):
    dataset = PreparedDataset(tmp_path, {}, pd.DataFrame())
    cv2.imwrite(str(tmp_path / "a.png"), noise(529, 622))
    cv2.imwrite(str(tmp_path / "m.png"), ellipse(529, 622) * 255)
    row = {"image": "a.png", "label": "m.png"}
    kept = {name: reader(build_augmentation(name, 128))(dataset, row) for name in ("warp", "none", "Rotate()")}
    sizes = {name: picture.shape for name, (picture, _) in kept.items()}
    assert sizes == {"warp": (132, 155, 3), "none": (128, 128, 3), "Rotate()": (529, 622, 3)}
