"""Windows cover every pixel, blend without seams, and do not care how they are batched; views of a picture."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import MedsegError
from medseg.evaluation.views import View, views
from medseg.pytorch.overlapping_inference import slide, starts, tent


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
    size = asked.pop("size")
    picture = torch.rand(2, *size, generator=torch.Generator().manual_seed(1)) + 0.5
    seen = []

    def identity(windows):
        seen.append(windows.shape)
        return windows

    out = slide(identity, picture, **asked)
    assert not out.isnan().any()
    torch.testing.assert_close(out, picture, rtol=1e-5, atol=0)
    assert all(shape[0] <= asked["batch"] and shape[2:] == (asked["window"],) * 2 for shape in seen)


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
    weights = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    picture = torch.rand(3, 61, 47)
    one, many = (
        slide(lambda w: torch.conv2d(w, weights, padding=1), picture, window=20, stride=13, batch=batch)
        for batch in (1, 7)
    )
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)
    assert one.shape == (5, 61, 47)


def test_overlapping_windows_are_blended_towards_the_one_whose_middle_is_nearer():
    calls = iter([0.0, 1.0])
    out = slide(lambda w: torch.full((1, 1, 8, 8), next(calls)), torch.zeros(1, 8, 12), window=8, stride=4, batch=1)
    row = out[0, 4]
    assert torch.equal(row[:4], torch.zeros(4))
    assert torch.equal(row[8:], torch.ones(4))
    assert torch.equal(row[4:8], row[4:8].sort().values)
    torch.testing.assert_close(row[4] + row[7], torch.tensor(1.0))
    assert (tent(7) > 0).all()


def test_a_small_picture_is_filled_up_with_black_on_the_right_and_below():
    seen = []
    picture = torch.ones(1, 5, 6)
    out = slide(lambda w: seen.append(w) or w, picture, window=8, stride=8)
    assert out.shape == (1, 5, 6)
    assert seen[0].sum() == 30
    assert (seen[0][0, 0, :5, :6] == 1).all()


@pytest.mark.parametrize("options", [{"stride": 0}, {"stride": 9}, {"stride": 4, "batch": 0}])
def test_strides_that_leave_gaps_are_refused(options):
    with pytest.raises(ValueError, match="stride must be|batch must be"):
        slide(lambda w: w, torch.zeros(1, 20, 20), window=8, **options)


def test_views_are_every_scale_mirrored_or_not_and_the_picture_itself_first():
    assert views([]) == [View(1.0, False)]
    assert views(["flip"]) == [View(1.0, False), View(1.0, True)]
    assert views(["1.5", "Flip", "2", "1", "1.5"]) == [
        View(scale, flipped) for scale in (1.0, 1.5, 2.0) for flipped in (False, True)
    ]
    for name in ("flop", "0", "nan", "-1", "9"):
        with pytest.raises(MedsegError, match=f"tta holds '{name}'"):
            views([name])
