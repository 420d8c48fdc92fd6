"""Windows cover every pixel, blend without seams, and do not care how they are batched; views of a picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import MedsegError
from medseg.evaluation.network import OnHost, filled_up
from medseg.evaluation.views import View, views
from medseg.evaluation.windows import slide, starts, tent


class Computing(OnHost):
    """Its logits are what a function makes of pictures (B, K, H, W) float32."""

    def __init__(self, of_pictures=lambda pictures: pictures):
        super().__init__(exclusive=False)
        self.seen, self._of_pictures = [], of_pictures

    def logits(self, pictures):
        self.seen.append(pictures)
        return self._of_pictures(np.moveaxis(pictures, 3, 1).astype(np.float32))


@st.composite
def settings_of_windows(draw):
    window = draw(st.integers(1, 24))
    return {
        "size": (draw(st.integers(1, 50)), draw(st.integers(1, 50))),
        "window": window,
        "stride": draw(st.integers(1, window)),
        "batch": draw(st.integers(1, 9)),
    }


@settings(max_examples=150, deadline=None)
@given(asked=settings_of_windows())
def test_the_identity_comes_back_at_every_size_stride_and_batch(asked):
    picture = np.random.default_rng(1).integers(1, 256, (*asked.pop("size"), 2), np.uint8)
    network = Computing()
    out = slide(network, picture, **asked)
    np.testing.assert_allclose(out, np.moveaxis(picture, 2, 0), rtol=1e-5)
    assert out.dtype == np.float32
    seen = [windows.shape for windows in network.seen]
    assert all(shape[0] <= asked["batch"] and shape[1:3] == (asked["window"],) * 2 for shape in seen)


@settings(max_examples=100, deadline=None)
@given(length=st.integers(1, 300), window=st.integers(1, 80), data=st.data())
def test_windows_cover_every_pixel_and_stay_inside(length, window, data):
    stride = data.draw(st.integers(1, window))
    begins = starts(length, window, stride)
    covered = {pixel for begin in begins for pixel in range(begin, begin + window)}
    assert covered >= set(range(length))
    if length >= window:
        assert max(covered) == length - 1
        assert len(begins) == -(-(length - window) // stride) + 1, "none too many"


def test_the_batch_does_not_change_the_result():
    picture = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)
    network = Computing(lambda pictures: pictures * np.hypot(*np.mgrid[:20, :20]) + np.roll(pictures, 1, -1))
    one, many = (slide(network, picture, window=20, stride=13, batch=batch) for batch in (1, 7))
    np.testing.assert_allclose(one, many, rtol=1e-5)
    assert one.shape == (3, 61, 47)


def test_overlapping_windows_are_blended_towards_the_one_whose_middle_is_nearer():
    calls = iter([0.0, 1.0])
    network = Computing(lambda pictures: np.full((1, 1, 8, 8), next(calls), np.float32))
    row = slide(network, np.zeros((8, 12, 1), np.uint8), window=8, stride=4, batch=1)[0, 4]
    np.testing.assert_array_equal(row[:4], 0)
    np.testing.assert_array_equal(row[8:], 1)
    assert (np.diff(row[4:8]) > 0).all()
    assert row[4] + row[7] == pytest.approx(1)
    assert (tent(7) > 0).all()


def test_a_small_picture_is_filled_up_with_black_on_the_right_and_below():
    network = Computing()
    assert slide(network, np.ones((5, 6, 1), np.uint8), window=8, stride=8).shape == (1, 5, 6)
    (seen,) = network.seen
    assert seen.shape == (1, 8, 8, 1)
    assert seen.sum() == 30
    assert (seen[0, :5, :6] == 1).all()


@pytest.mark.parametrize("options", [{"stride": 0}, {"stride": 9}, {"stride": 4, "batch": 0}])
def test_strides_that_leave_gaps_are_refused(options):
    with pytest.raises(ValueError, match="stride must be|batch must be"):
        slide(Computing(), np.zeros((20, 20, 1), np.uint8), window=8, **options)


def test_exported_networks_get_the_sizes_that_they_want():
    picture = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    assert filled_up(picture, 1, 1).shape == (1, 2, 3, 1)
    whole = filled_up(picture, 4, 5)
    assert whole.shape == (1, 8, 8, 1)
    np.testing.assert_array_equal(whole[0, :3, :, 0], [[0, 1, *[2] * 6], *[[3, 4, *[5] * 6]] * 2])


def test_views_are_every_scale_mirrored_or_not_and_the_picture_itself_first():
    assert views([]) == [View(1.0, False)]
    assert views(["flip"]) == [View(1.0, False), View(1.0, True)]
    assert views(["1.5", "Flip", "2", "1", "1.5"]) == [
        View(scale, flipped) for scale in (1.0, 1.5, 2.0) for flipped in (False, True)
    ]
    for name in ("flop", "0", "nan", "-1", "9"):
        with pytest.raises(MedsegError, match=f"tta holds '{name}'"):
            views([name])
