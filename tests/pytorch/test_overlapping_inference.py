"""From a picture to probabilities at its own size: nothing moves, whatever the window, the view and the upsampling."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from medseg.errors import MedsegError
from medseg.evaluation.predictors import FittedPredictor
from medseg.evaluation.views import views
from medseg.pytorch import device as devices
from medseg.pytorch.backbones import Normalisation
from medseg.pytorch.inference import TrainedNetwork
from medseg.pytorch.models import BuiltModel

CPU = devices.Device("cpu", "CPU", "fp32")


class Ideal(nn.Module):
    """Sees brightness: the logit of class 0 is above 0 where a picture is brighter than grey, that of class 1 below."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        logits = 40 * (images[:, :1] - 0.5)
        return torch.cat([logits, -logits], 1)


def predictor(resolution, **options):
    network = Ideal()
    built = BuiltModel(network, Normalisation((0.0,) * 3, (1.0,) * 3), "random", 1)
    return FittedPredictor(TrainedNetwork(built, CPU), resolution, **options), network


def bone_like(height, width):
    """A soft-edged picture (H, W) uint8 and where it is brighter than grey."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    distance = np.hypot((columns - 0.37 * width) / 1.6, rows - 0.55 * height)
    bright = 255 / (1 + np.exp((distance - 0.21 * height) / (0.03 * height)))
    return bright.round().astype(np.uint8), bright > 127.5


@pytest.mark.parametrize("size", [(200, 200), (180, 300), (311, 147), (60, 45)])
@pytest.mark.parametrize(
    ("window", "stride", "tta"),
    [
        (0, 0, []),
        (100, 0, []),
        (100, 37, []),
        (64, 64, []),
        (0, 0, ["flip"]),
        (0, 0, ["1.5", "2"]),
        (100, 50, ["flip", "2"]),
    ],
)
@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
def test_an_ideal_network_gives_back_the_mask_where_it_is(size, window, stride, tta, upsampling):
    picture, true = bone_like(*size)
    predict, _ = predictor(96, window=window, stride=stride, views=views(tta), upsampling=upsampling)
    maps = predict(picture)
    assert len(maps) == 2
    probability = maps[0]
    assert probability.shape == size
    assert probability.dtype == np.float32
    assert 0 <= probability.min() <= probability.max() <= 1
    found = probability > 0.5
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.985
    for axis in (0, 1):  # half a pixel would show: the outlines' middles agree much better than that
        middle = (np.argwhere(found).mean(0) - np.argwhere(true).mean(0))[axis]
        assert abs(middle) < 0.12, f"moved by {middle:.2f} pixels along axis {axis}"
    np.testing.assert_allclose(maps[1], 1 - probability, atol=1e-5)
    assert [m.sum() for m in maps] == [maps[0].sum(), maps[1].sum()], "maps can be gone through"


def test_a_window_of_the_training_resolution_gives_the_pictures_own_pixels():
    picture, _ = bone_like(90, 140)
    predict, network = predictor(32, window=32, stride=11, batch=3)
    expected = torch.sigmoid(40 * (torch.from_numpy(picture) / 255 - 0.5))
    np.testing.assert_allclose(predict(picture)[0], expected, atol=1e-5)
    assert {shape[1:] for shape in network.seen} == {(3, 32, 32)}
    assert max(shape[0] for shape in network.seen) == 3


def test_the_network_sees_what_it_was_trained_on():
    picture, _ = bone_like(120, 160)
    for options, seen in (
        ({}, [(1, 3, 64, 64)]),
        ({"window": 160}, [(1, 3, 64, 64)]),
        ({"views": views(["flip", "1.5"])}, [(1, 3, 64, 64)] * 2 + [(1, 3, 96, 96)] * 2),
        # 160 pixels in windows of 80, at 64 pixels a window: 128 x 96 pixels, stride 32.
        ({"window": 80, "stride": 40, "batch": 20}, [(6, 3, 64, 64)]),
    ):
        predict, network = predictor(64, **options)
        predict(picture)
        assert network.seen == seen


def test_views_are_averaged_as_probabilities():
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), (0, 0), 2)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    each = []
    for names in ([], ["1.5"]):
        wanted = views(names)[-1:]
        each.append(predictor(32, views=wanted)[0](picture)[0])
    both = predictor(32, views=views(["1.5"]))[0](picture)[0]
    assert np.abs(each[0] - each[1]).max() > 0.01
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)


def test_the_black_that_fills_up_stays_on_the_right_of_a_mirrored_picture():
    class Corner(nn.Module):
        def forward(self, images):
            self.seen = images
            return images[:, :1]

    network = Corner()
    built = BuiltModel(network, Normalisation((0.0,) * 3, (1.0,) * 3), "random", 1)
    FittedPredictor(TrainedNetwork(built, CPU), 40, views=views(["flip"])[1:])(np.full((40, 20), 200, np.uint8))
    assert (network.seen[..., 20:] == 0).all()
    assert (network.seen[..., :20] > 0.5).all()


def test_colour_pictures_count_by_their_grey_value():
    picture, _ = bone_like(50, 60)
    predict, _ = predictor(32)
    np.testing.assert_array_equal(predict(np.repeat(picture[..., None], 3, 2))[0], predict(picture)[0])


def test_one_class_at_a_time_is_brought_to_the_pictures_size():
    class Many(nn.Module):
        def forward(self, images):
            return images[:, :1].expand(-1, 29, -1, -1)

    built = BuiltModel(Many(), Normalisation((0.0,) * 3, (1.0,) * 3), "random", 1)
    maps = FittedPredictor(TrainedNetwork(built, CPU), 32)(np.zeros((1024, 1024), np.uint8))
    assert sum(logits.numel() for logits in maps._logits) == 29 * 32 * 32
    assert maps[28].shape == (1024, 1024)
    with pytest.raises(IndexError):
        maps[29]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": -1}, "window is -1"),
        ({"window": 64, "stride": 65}, "stride of 1 to the window's side"),
        ({"stride": 5}, "window is 0 and stride 5"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_windows_that_leave_gaps_are_refused(options, words):
    with pytest.raises(MedsegError, match=words):
        predictor(32, **options)
