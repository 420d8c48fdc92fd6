import numpy as np
import pytest

from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.augmentation.warp import generator, plain_resize
from medseg.errors import MedsegError


def disc(height, width):
    """A picture whose red channel says its mask: a disc away from the middle."""
    rows, columns = np.mgrid[:height, :width]
    mask = ((rows - 0.4 * height) ** 2 + (columns - 0.6 * width) ** 2 < (0.2 * height) ** 2).astype(np.uint8)
    return np.stack([mask * 200, np.full_like(mask, 90), np.full_like(mask, 30)], axis=2), mask


@pytest.mark.parametrize(
    "specification",
    [
        "Rotate(p=0)",
        "HorizontalFlip(p=1) + Rotate(limit=40, p=1)",
        "RandomResizedCrop(scale=(0.3, 0.6))",
        "RandomCrop(height=50, width=90) + D4()",
        "Affine(scale=(0.5, 1.5), shear=10, translate_percent=0.1, p=1)",
    ],
)
@pytest.mark.parametrize("resolution", [96, (48, 64), (60, 80)])
def test_picture_and_mask_move_together(specification, resolution):
    image, mask = disc(120, 160)
    for draw in range(5):
        picture, moved = build_augmentation(specification, resolution)(image, mask, generator(0, 0, draw))
        assert (picture.dtype, moved.dtype) == (np.uint8, np.uint8)
        assert picture.shape[:2] == moved.shape == ((96, 96) if resolution == 96 else resolution)
        assert set(np.unique(moved)) <= {0, 1}
        assert np.mean((picture[..., 0] > 100) == (moved > 0)) > 0.97


def test_transforms_that_do_not_happen_leave_the_plain_resize():
    image, mask = disc(120, 160)
    for resolution in ((60, 80), (30, 40)):
        moved = build_augmentation("VerticalFlip(p=0) + RandomGamma(p=0)", resolution)(image, mask, generator(0, 0, 0))
        expected = plain_resize(image, mask, resolution)
        assert np.abs(moved[0].astype(int) - expected[0]).max() <= 1
        assert np.mean(moved[1] != expected[1]) < 0.02  # where a pixel's centre lies between four, either is nearest


def test_a_flip_is_exact():
    image, mask = disc(64, 64)
    flipped = build_augmentation("HorizontalFlip(p=1)", 64)(image, mask, generator(0, 0, 0))
    np.testing.assert_array_equal(flipped[0], image[:, ::-1])
    np.testing.assert_array_equal(flipped[1], mask[:, ::-1])


@pytest.mark.parametrize(
    "name", ["CLAHE", "Equalize", "GaussNoise", "GaussianBlur", "Blur", "MedianBlur", "RandomGamma", "InvertImg"]
)
def test_grey_values_of_colour_pictures_change_and_masks_stay(name):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    mask = disc(32, 32)[1]
    picture, kept = build_augmentation(f"{name}(p=1)", 32)(image, mask, generator(0, 0, 0))
    np.testing.assert_array_equal(kept, mask)
    assert all((picture[..., channel] != image[..., channel]).any() for channel in range(3))


def test_noise_differs_from_channel_to_channel():
    image = np.full((32, 32, 3), 128, np.uint8)
    picture, _ = build_augmentation("GaussNoise(p=1)", 32)(image, disc(32, 32)[1], generator(0, 0, 0))
    assert picture.reshape(-1, 3).std(axis=0).min() > 30
    assert np.abs(np.corrcoef(picture.reshape(-1, 3).T) - np.eye(3)).max() < 0.2


def test_the_same_numbers_give_the_same_pair_and_errors_say_what_to_write():
    augmentation = build_augmentation("RandomResizedCrop() + Rotate() + GaussNoise(p=1)", 48)
    one, other = (augmentation(*disc(60, 80), generator(1, 2, 3)) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="differ in size"):
        augmentation(disc(60, 80)[0], disc(80, 60)[1], generator(0, 0, 0))
    with pytest.raises(MedsegError, match=r"no transform 'Rotat'.*Did you mean 'Rotate'"):
        build_augmentation("Rotat()", 32)
    with pytest.raises(MedsegError, match="'warp' is neither"):
        build_augmentation("warp + Rotate()", 32)
