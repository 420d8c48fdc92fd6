import os
import subprocess
import sys

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version

import albumentations
import cv2
import numpy as np
import pytest

from medseg.datasets.augmentation.presets import POLYGON_PRESETS, parse_augmentation
from medseg.datasets.augmentation.transforms import AFFINE, TONE
from medseg.datasets.augmentation.warp import fit_matrix, generator
from medseg.errors import MedsegError

SIZE = 120, 80
CORNERS = np.array([[10.0, 12.0], [100.5, 20.25], [60.0, 75.0], [3.0, 50.5]])


def points_after(specification, size=SIZE, resolution=120, draw=0):
    matrix = parse_augmentation(specification).matrix(generator(0, 0, draw), size, resolution)
    return CORNERS @ matrix[:, :2].T + matrix[:, 2]


def by_albumentations(transform, size=SIZE):
    """Continuous points moved by Albumentations, whose key points are counted from the first pixel's centre."""
    pipeline = albumentations.Compose(
        [transform], keypoint_params=albumentations.KeypointParams(format="xy", remove_invisible=False)
    )
    moved = pipeline(image=np.zeros(size[::-1], np.uint8), keypoints=CORNERS - 0.5)
    return np.asarray(moved["keypoints"]) + 0.5


FIXED = [
    ("HorizontalFlip", {"p": 1}),
    ("VerticalFlip", {"p": 1}),
    ("Rotate", {"limit": (10, 10), "p": 1}),
    ("Rotate", {"limit": (-33, -33), "p": 1}),
    ("Affine", {"rotate": (20, 20), "shear": (7, 7), "scale": (1.2, 1.2), "translate_px": (5, 5), "p": 1}),
    ("Affine", {"rotate": 20, "shear": {"x": 5, "y": -8}, "scale": {"x": 0.9, "y": 1.1}, "p": 1}),
    ("Affine", {"translate_percent": {"x": 0.1, "y": -0.25}, "p": 1}),
    ("ShiftScaleRotate", {"shift_limit": (0.1, 0.1), "scale_limit": (0.2, 0.2), "rotate_limit": (15, 15), "p": 1}),
    ("ShiftScaleRotate", {"shift_limit_x": (0.1, 0.1), "shift_limit_y": (0.05, 0.05), "rotate_limit": (0, 0),
                          "scale_limit": (0, 0), "p": 1}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "parameters"), FIXED)
def test_points_move_as_with_albumentations(name, parameters):
    written = f"{name}({', '.join(f'{key}={value!r}' for key, value in parameters.items())})"
    expected = by_albumentations(getattr(albumentations, name)(**parameters))
    assert np.abs(expected - CORNERS).max() > 2
    np.testing.assert_allclose(points_after(written), expected, atol=0.01)  # it keeps points as float32


def test_a_picture_with_other_sides_than_the_square_is_fitted_in_the_end():
    turned = by_albumentations(albumentations.Transpose(p=1))
    np.testing.assert_allclose(points_after("Transpose(p=1)", resolution=60), turned / 2, atol=0.01)


def test_quarter_turns_are_those_of_numpy():
    dot = np.zeros(SIZE[::-1])
    dot[10, 100] = 1
    seen = set()
    for draw in range(20):
        matrix = parse_augmentation("RandomRotate90()").matrix(generator(0, 0, draw), SIZE, 120)
        moved = (matrix @ [100.5, 10.5, 1]).tolist()
        turned = [np.argwhere(np.rot90(dot, turns))[0][::-1] + 0.5 for turns in range(4)]
        seen.add(next(turns for turns in range(4) if np.allclose(moved, turned[turns])))
    assert seen == {0, 1, 2, 3}


def test_d4_draws_all_eight_symmetries():
    matrices = {parse_augmentation("D4()").matrix(generator(0, 0, draw), (64, 64), 64).tobytes() for draw in range(80)}
    assert len(matrices) == 8
    determinants = [np.linalg.det(np.frombuffer(matrix).reshape(2, 3)[:, :2]) for matrix in matrices]
    assert sorted(np.round(determinants)) == [-1] * 4 + [1] * 4


def test_a_safe_rotation_keeps_the_whole_picture_in_the_frame():
    corners = np.array([[0, 0, 1], [120, 0, 1], [120, 80, 1], [0, 80, 1.0]])
    for draw in range(30):
        moved = corners @ parse_augmentation("SafeRotate(p=1)").matrix(generator(0, 0, draw), SIZE, 120).T
        np.testing.assert_allclose(moved.min(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(moved.max(axis=0), [120, 80], atol=1e-6)


def test_random_crops_have_the_area_and_the_ratio_asked_for():
    augmentation = parse_augmentation("RandomResizedCrop(scale=(0.5, 0.6), ratio=(0.8, 1.25))")
    areas, ratios = [], []
    for draw in range(200):
        matrix = augmentation.matrix(generator(0, 0, draw), (200, 200), 64)
        inverse = cv2.invertAffineTransform(matrix)
        (left, top), (right, bottom) = inverse @ [0, 0, 1], inverse @ [64, 64, 1]
        assert -1e-9 <= left < right <= 200 + 1e-9
        assert -1e-9 <= top < bottom <= 200 + 1e-9
        areas.append((right - left) * (bottom - top) / 200**2)
        ratios.append((right - left) / (bottom - top))
    assert (min(areas), max(areas)) == pytest.approx((0.5, 0.6), abs=0.003)
    assert (min(ratios), max(ratios)) == pytest.approx((0.8, 1.25), abs=0.02)


def test_a_crop_in_pixels_follows_a_random_scale():
    matrix = parse_augmentation("RandomScale(scale_limit=(1, 1), p=1) + CenterCrop(height=100, width=100)").matrix(
        generator(0, 0, 0), (100, 80), 50
    )
    np.testing.assert_allclose(matrix @ [50, 40, 1], [25, 25])
    np.testing.assert_allclose(matrix[:, :2], np.eye(2))  # twice as large, then fitted at half the size
    with pytest.raises(MedsegError, match="does not fit into a picture of 100 x 80"):
        parse_augmentation("RandomCrop(height=90, width=90)").matrix(generator(0, 0, 0), (100, 80), 50)


def test_transforms_act_in_the_order_in_which_they_are_written():
    flip, move = "HorizontalFlip(p=1)", "Affine(translate_px={'x': 10, 'y': 0}, p=1)"
    flipped = by_albumentations(albumentations.HorizontalFlip(p=1))
    np.testing.assert_allclose(points_after(f"{flip} + {move}"), flipped + [10, 0], atol=1e-6)
    np.testing.assert_allclose(points_after(f"{move} + {flip}"), flipped - [10, 0], atol=1e-6)


SPECKLED = np.random.default_rng(0).integers(40, 200, (32, 32), dtype=np.uint8)
RAMP = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)


@pytest.mark.parametrize(
    ("name", "parameters", "tolerance"),
    [
        ("RandomBrightnessContrast", {"brightness_limit": (0.15, 0.15), "contrast_limit": (-0.3, -0.3), "p": 1}, 1),
        ("RandomBrightnessContrast", {"brightness_limit": (-0.2, -0.2), "contrast_limit": (0.4, 0.4), "p": 1}, 1),
        ("RandomGamma", {"gamma_limit": (70, 70), "p": 1}, 1),
        ("InvertImg", {"p": 1}, 0),
        ("CLAHE", {"clip_limit": (3, 3), "tile_grid_size": (4, 4), "p": 1}, 0),
        ("Equalize", {"p": 1}, 0),
        ("GaussianBlur", {"sigma_limit": (1.5, 1.5), "p": 1}, 1),
        ("Blur", {"blur_limit": (5, 5), "p": 1}, 0),
        ("MedianBlur", {"blur_limit": (5, 5), "p": 1}, 0),
    ],
)
def test_grey_values_change_as_with_albumentations(name, parameters, tolerance):
    written = f"{name}({', '.join(f'{key}={value!r}' for key, value in parameters.items())})"
    for picture in (RAMP, SPECKLED):
        ours = parse_augmentation(written).tone(picture, generator(0, 0, 0))
        theirs = getattr(albumentations, name)(**parameters)(image=picture)["image"]
        assert ours.dtype == np.uint8
        assert np.abs(ours.astype(int) - theirs).max() <= tolerance
    assert (ours != SPECKLED).mean() > 0.5


def test_noise_has_the_deviation_asked_for_and_repeats():
    grey = np.full((200, 200), 128, np.uint8)
    augmentation = parse_augmentation("GaussNoise(std_range=(0.05, 0.05), p=1)")
    noisy = augmentation.tone(grey, generator(0, 0, 0))
    assert (augmentation.tone(grey, generator(0, 0, 1)) != noisy).any()
    np.testing.assert_array_equal(augmentation.tone(grey, generator(0, 0, 0)), noisy)
    noisy = noisy.astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.03)


def test_tones_are_rounded_once():
    there_and_back = "RandomBrightnessContrast(contrast_limit=(-0.9, -0.9), brightness_limit=(0, 0), p=1)"
    back = "RandomBrightnessContrast(contrast_limit=(9, 9), brightness_limit=(0, 0), p=1)"
    both = parse_augmentation(f"{there_and_back} + {back}").tone(RAMP, generator(0, 0, 0))
    np.testing.assert_array_equal(both, RAMP)


@pytest.mark.parametrize("name", ["Rotate", "RandomResizedCrop", *sorted(AFFINE), *sorted(TONE)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parameters_and_defaults_are_those_of_albumentations(name):
    needed = {"RandomResizedCrop": {"size": (8, 8)}, "RandomCrop": {"height": 8, "width": 8}}
    needed["CenterCrop"] = needed["RandomCrop"]
    needed["Resize"] = needed["RandomCrop"]
    theirs = getattr(albumentations, name)(**needed.get(name, {}))
    ours = (AFFINE | TONE)[name](**{k: v for k, v in needed.get(name, {}).items() if k != "size" and name != "Resize"})
    for parameter, value in vars(ours).items():
        if name == "ShiftScaleRotate" and parameter != "p":
            continue  # it keeps its limits under the names of Affine
        expected = getattr(theirs, parameter)
        assert value == (pytest.approx(expected) if isinstance(expected, float | tuple) else expected), parameter


def test_each_sample_and_epoch_has_its_own_augmentation_which_repeats():
    augmentation = parse_augmentation("intensity")
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    drawn = [augmentation.matrix(generator(*key), (64, 64), 64) for key in keys]
    again = [augmentation.matrix(generator(*key), (64, 64), 64) for key in keys]
    np.testing.assert_array_equal(drawn, again)
    assert len({matrix.tobytes() for matrix in drawn}) == 4
    picture = np.full((64, 64), 100, np.uint8)
    tones = [augmentation.tone(picture, generator(0, 0, draw)) for draw in range(20)]
    assert len({tone.tobytes() for tone in tones}) > 10
    np.testing.assert_array_equal(tones[3], augmentation.tone(picture, generator(0, 0, 3)))


def test_probability_is_respected():
    flips = [points_after("HorizontalFlip(p=0.3)", draw=draw)[0, 0] > 60 for draw in range(400)]
    assert 0.22 < np.mean(flips) < 0.38


@pytest.mark.parametrize("name", ["none", "base", ""])
def test_the_base_preset_is_the_plain_resize(name):
    augmentation = parse_augmentation(name)
    np.testing.assert_array_equal(augmentation.matrix(generator(0, 0, 0), SIZE, 60), fit_matrix(SIZE, 60))
    assert augmentation.tone(RAMP, generator(0, 0, 0)) is RAMP
    assert augmentation.zoom(SIZE) == 1


def test_presets_hold_what_they_say():
    kinds = {name: [type(t).__name__ for t in parse_augmentation(name).geometric] for name in POLYGON_PRESETS}
    assert kinds["crop"] == ["RandomResizedCrop"]
    assert kinds["crop_rotate"] == kinds["intensity"] == ["RandomResizedCrop", "Rotate"]
    crop, turn = parse_augmentation("crop_rotate").geometric
    assert (crop.scale, turn.limit) == ((0.8, 1.0), (-10, 10))
    assert [type(t).__name__ for t in parse_augmentation("intensity").tonal] == [
        "RandomBrightnessContrast", "RandomGamma", "GaussNoise",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("ElasticTransform(p=1)", "ElasticTransform has no affine form.*HorizontalFlip, .*Rotate"),
        ("GridDistortion()", "no affine form"),
        ("Rotat(limit=3)", "no transform 'Rotat'.*Did you mean 'Rotate'"),
        ("rotate(limit=3)", "Did you mean 'Rotate'"),
        ("Rotate(limt=3)", "no parameter 'limt'.*Did you mean 'limit'"),
        ("Rotate(limit=3, border_mode=4)", "border is constant"),
        ("RandomResizedCrop(size=(4, 4))", "resolution is a parameter of its own"),
        ("crop_rotat", "Did you mean 'crop_rotate'"),
        ("Rotate", "parentheses"),
        ("crop + Rotate()", "'crop' is neither"),
        ("Rotate(10)", "by name"),
        ("Rotate(**{'limit': 10})", "by name"),
        ("Rotate(limit=__import__('os').getpid())", "not a plain value"),
        ("Rotate(limit=(1, 2, 3))", "one number or two"),
        ("Rotate(limit=(5, -5))", "smaller number to the greater"),
        ("Rotate(limit='ten')", "must be a number"),
        ("Rotate(limit=True)", "must be a number"),
        ("Rotate(p=1.5)", "from 0 to 1"),
        ("Rotate(limit=1e999)", "must be a number"),
        ("Affine(scale=0)", "at least 0.01"),
        ("Affine(scale={'z': 1})", "keys 'x' and 'y'"),
        ("Affine(translate_px=1, translate_percent=0.1)", "not both"),
        ("Affine(keep_ratio=1)", "True or False"),
        ("RandomCrop(height=4)", "needs more parameters"),
        ("RandomCrop(height=4, width=0.5)", "whole number of pixels"),
        ("RandomScale(p=1)", "changes nothing"),
        ("Resize(height=4)", "resolution is a parameter of its own"),
        ("OneOf([Blur(), CLAHE()], q=1)", "OneOf takes a list of transforms and p"),
        ("OneOf(Blur(), CLAHE())", "by name"),
        ("OneOf([Blur()])", "at least two transforms, got 1"),
        ("OneOf([Blur, CLAHE()])", "'Blur' stands without parentheses"),
        ("OneOf([Blur(p=0), CLAHE(p=0)])", "all of them have 0"),
        ("OneOf([Blur(), Rotate()])", "mixes Rotate, which moves pixels, with Blur"),
        ("OneOf([Blurr(), CLAHE()])", "Did you mean 'Blur'"),
        ("OneOf([RandomScale(), Rotate()])", "changes nothing"),
        ("oneOf([Blur(), CLAHE()])", "by name"),
        ("Rotate() - VerticalFlip()", "is not a transform"),
        ("Rotate() Rotate()", "cannot be read"),
        ("(", "cannot be read"),
        ("[1]", "is not a transform"),
        ("A.Rotate()", "is not a transform"),
        ("Rotate(limit=10, limit=12)", "has 'limit' twice"),
    ],
)
def test_a_bad_specification_is_refused_with_what_to_write_instead(specification, message):
    with pytest.raises(MedsegError, match=f"(?s){message}"):
        parse_augmentation(specification)


def test_one_of_several_happens_as_often_as_its_weight_says():
    written = (
        "OneOf([Resize(p=0.6), RandomResizedCrop(scale=(0.5, 0.5), ratio=(1, 1), p=0.2)], p=0.8)"
        " + OneOf([InvertImg(p=1), RandomGamma(gamma_limit=(200, 200), p=1)], p=1)"
    )
    augmentation = parse_augmentation(written)
    count = 2000
    drawn = [augmentation.matrix(generator(0, 0, number), (64, 64), 64) for number in range(count)]
    cropped = np.mean([matrix[0, 0] > 1.1 for matrix in drawn])
    assert abs(cropped - 0.8 * 0.25) < 3 * np.sqrt(0.16 / count)
    tones = [augmentation.tone(RAMP, generator(0, 0, number)) for number in range(300)]
    inverted = [np.array_equal(tone, 255 - RAMP) for tone in tones]
    gamma = np.rint(255 * (RAMP / 255.0) ** 2)
    assert all(inverse or np.abs(tone - gamma).max() <= 1 for inverse, tone in zip(inverted, tones, strict=True))
    assert abs(np.mean(inverted) - 0.5) < 3 * np.sqrt(0.25 / 300)
    assert augmentation.zoom((64, 64)) == pytest.approx(np.sqrt(2))


def test_one_of_does_as_albumentations_does():
    theirs = albumentations.OneOf([albumentations.Blur((3, 3), p=0.2), albumentations.InvertImg(p=0.6)], p=0.5)
    ours = parse_augmentation("OneOf([Blur(blur_limit=(3, 3), p=0.2), InvertImg(p=0.6)], p=0.5)")
    theirs.set_random_seed(0)
    count, picture = 1000, np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    blurred, inverse = cv2.blur(picture, (3, 3)), 255 - picture

    def shares(pictures):
        return np.array([np.mean([np.array_equal(p, wanted) for p in pictures]) for wanted in (blurred, inverse)])

    other = shares([theirs(image=picture)["image"] for _ in range(count)])
    own = shares([ours.tone(picture, generator(0, 0, number)) for number in range(count)])
    assert np.abs(own - [0.125, 0.375]).max() < 0.05
    assert np.abs(own - other).max() < 0.06


def test_one_of_mirrors_where_a_member_does():
    with pytest.raises(MedsegError, match="OneOfAffine would turn left hands"):
        parse_augmentation("OneOf([Rotate(limit=3), HorizontalFlip()])", side_is_predicted=True)
    parse_augmentation("OneOf([Rotate(limit=3), HorizontalFlip(p=0)])", side_is_predicted=True)


@pytest.mark.parametrize("name", ["HorizontalFlip", "VerticalFlip", "Transpose", "D4"])
def test_mirroring_is_refused_where_the_side_is_predicted(name):
    assert parse_augmentation(f"{name}()").geometric
    with pytest.raises(MedsegError, match=f"{name} would turn left hands into right ones.*Take them out"):
        parse_augmentation(f"Rotate() + {name}()", side_is_predicted=True)


@pytest.mark.parametrize("specification", [*POLYGON_PRESETS, "RandomRotate90() + SafeRotate() + HorizontalFlip(p=0)"])
def test_no_preset_mirrors(specification):
    parse_augmentation(specification, side_is_predicted=True)


def test_the_greatest_magnification_is_known():
    assert parse_augmentation("crop").zoom((100, 100)) == pytest.approx(1 / 0.8**0.5)
    assert parse_augmentation("Affine(scale=(0.5, 1.3))").zoom((100, 100)) == 1.3
    assert parse_augmentation("RandomCrop(height=25, width=25)").zoom((100, 80)) == 4


def test_albumentations_and_the_frameworks_that_it_imports_stay_out():
    code = "import sys, medseg.datasets.polygon_items; print({'albumentations', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
